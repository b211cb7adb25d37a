import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which hosts reach an external network, as was last seen: uplinks are led by those. */
export class ConnectedHosts1764506310000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE external_network ADD COLUMN connected_hosts text[]');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE external_network DROP COLUMN connected_hosts');
  }
}
