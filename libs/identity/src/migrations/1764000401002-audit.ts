import type { MigrationInterface, QueryRunner } from 'typeorm';

/** An entry is closed with what became of its operation; indexes for who did what. */
export class Audit1764000401002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE audit_entry
        ADD COLUMN ended_at timestamptz,
        ADD COLUMN operation_state text
          CONSTRAINT audit_entry_operation_state CHECK (operation_state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')),
        ADD COLUMN operation_error_code text`);
    await runner.query('CREATE INDEX audit_entry_open ON audit_entry (operation_id) WHERE operation_id IS NOT NULL AND ended_at IS NULL');
    await runner.query('CREATE INDEX audit_entry_of_principal ON audit_entry (principal_id, tenant_id, at)');
    await runner.query('CREATE INDEX audit_entry_of_project ON audit_entry (project_id, at, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX audit_entry_of_project, audit_entry_of_principal');
    await runner.query('ALTER TABLE audit_entry DROP COLUMN ended_at, DROP COLUMN operation_state, DROP COLUMN operation_error_code');
  }
}
