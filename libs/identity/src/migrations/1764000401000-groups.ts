import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Groups, which hold roles for their members; a binding is for a principal or for a group. */
export class Groups1764000401000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE principal_group (
        id text COLLATE "C" CONSTRAINT principal_group_pkey PRIMARY KEY,
        scope_id text COLLATE "C" NOT NULL CONSTRAINT principal_group_scope REFERENCES scope (id),
        tenant_id text COLLATE "C",
        project_id text COLLATE "C",
        issuer text,
        name text NOT NULL,
        version bigint NOT NULL DEFAULT 1,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE UNIQUE INDEX principal_group_name ON principal_group (scope_id, name) WHERE issuer IS NULL');
    await runner.query('CREATE UNIQUE INDEX principal_group_claim ON principal_group (scope_id, issuer, name) WHERE issuer IS NOT NULL');
    await runner.query(`
      CREATE TABLE group_membership (
        group_id text COLLATE "C" NOT NULL CONSTRAINT group_membership_group REFERENCES principal_group (id) ON DELETE CASCADE,
        principal_id text COLLATE "C" NOT NULL CONSTRAINT group_membership_principal REFERENCES principal (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT group_membership_pkey PRIMARY KEY (group_id, principal_id)
      )`);
    await runner.query('CREATE INDEX group_membership_of_principal ON group_membership (principal_id)');
    await runner.query(`
      ALTER TABLE role_binding
        ALTER COLUMN principal_id DROP NOT NULL,
        ADD COLUMN group_id text COLLATE "C" CONSTRAINT role_binding_group REFERENCES principal_group (id) ON DELETE CASCADE,
        ADD CONSTRAINT role_binding_subject CHECK (num_nonnulls(principal_id, group_id) = 1)`);
    await runner.query('CREATE UNIQUE INDEX role_binding_of_group_once ON role_binding (group_id, scope_id, role)');
    await runner.query(
      'CREATE TRIGGER principal_group_touch BEFORE UPDATE ON principal_group FOR EACH ROW EXECUTE FUNCTION muon_touch_row()',
    );
    await runner.query(
      `CREATE TRIGGER principal_group_watch AFTER INSERT OR UPDATE OR DELETE ON principal_group FOR EACH ROW EXECUTE FUNCTION muon_watch('grp')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DELETE FROM role_binding WHERE group_id IS NOT NULL');
    await runner.query('ALTER TABLE role_binding DROP COLUMN group_id, ALTER COLUMN principal_id SET NOT NULL');
    await runner.query('DROP TABLE group_membership, principal_group');
  }
}
