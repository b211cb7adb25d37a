import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What root disks keep to: as flavors say, and as it was when a machine was asked for, for when it is made once more. */
export class MachineStoragePolicies1764506350300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of ['flavor', 'virtual_machine']) {
      await runner.query(
        `ALTER TABLE ${table} ADD COLUMN storage_policy_id text COLLATE "C" CONSTRAINT ${table}_storage_policy REFERENCES storage_policy (id)`,
      );
      await runner.query(
        `CREATE INDEX ${table}_of_storage_policy ON ${table} (storage_policy_id) WHERE storage_policy_id IS NOT NULL`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE virtual_machine DROP COLUMN storage_policy_id');
    await runner.query('ALTER TABLE flavor DROP COLUMN storage_policy_id');
  }
}
