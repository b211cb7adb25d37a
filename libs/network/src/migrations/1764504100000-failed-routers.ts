import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A router that was not made has no address, and keeps where it shall lead to. */
export class FailedRouters1764504100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE router DROP CONSTRAINT router_uplink, ADD CONSTRAINT router_uplink CHECK (
        (external_network_id IS NULL AND external_address IS NULL)
        OR (external_network_id IS NOT NULL AND (external_address IS NOT NULL OR lifecycle IN ('FAILED', 'DELETING'))))`);
    await runner.query("DELETE FROM external_address WHERE owner_id IN (SELECT id FROM router WHERE lifecycle = 'FAILED')");
    await runner.query("UPDATE router SET external_address = NULL WHERE lifecycle = 'FAILED'");
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('UPDATE router SET external_network_id = NULL, source_nat = false WHERE external_address IS NULL');
    await runner.query(`
      ALTER TABLE router DROP CONSTRAINT router_uplink,
        ADD CONSTRAINT router_uplink CHECK ((external_network_id IS NULL) = (external_address IS NULL))`);
  }
}
