import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Where a cluster's API gets an address from that clients outside of its network reach. Only what a failed cluster is
 * made of again; what holds the external network is the cluster's floating IP.
 */
export class ClustersOutside1764408000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE cluster ADD COLUMN external_network_id text COLLATE "C"');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE cluster DROP COLUMN external_network_id');
  }
}
