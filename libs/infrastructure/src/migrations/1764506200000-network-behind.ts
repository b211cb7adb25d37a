import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Since when a host may lack what its network was told while it was away, and why. */
export class NetworkBehind1764506200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host ADD COLUMN network_behind_since timestamptz, ADD COLUMN network_behind_reason text');
    await runner.query('CREATE INDEX host_network_behind ON host (network_behind_since) WHERE network_behind_since IS NOT NULL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host DROP COLUMN network_behind_since, DROP COLUMN network_behind_reason');
  }
}
