import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where a machine may be placed again, and how what is seen of it differs from that. */
export class PlacementAndDrift1764001200001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE virtual_machine
      ADD COLUMN network_id text COLLATE "C",
      ADD COLUMN zone_ids text[] NOT NULL DEFAULT '{}',
      ADD COLUMN drift jsonb`);
    await runner.query('CREATE INDEX virtual_machine_drift ON virtual_machine (backend_id) WHERE drift IS NOT NULL');
    await runner.query(`CREATE INDEX virtual_machine_to_start ON virtual_machine (observed_at, id)
      WHERE lifecycle = 'PRESENT' AND desired_power = 'RUNNING' AND observed_power = 'STOPPED'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX virtual_machine_to_start');
    await runner.query('ALTER TABLE virtual_machine DROP COLUMN network_id, DROP COLUMN zone_ids, DROP COLUMN drift');
  }
}
