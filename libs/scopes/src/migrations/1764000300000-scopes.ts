import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Scopes1764000300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE scope (
        id text COLLATE "C" CONSTRAINT scope_pkey PRIMARY KEY,
        kind text NOT NULL CONSTRAINT scope_kind CHECK (kind IN ('SYSTEM', 'TENANT', 'PROJECT')),
        parent_id text COLLATE "C" CONSTRAINT scope_parent REFERENCES scope (id),
        tenant_id text COLLATE "C",
        project_id text COLLATE "C",
        name text NOT NULL,
        state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT scope_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'DELETING')),
        version bigint NOT NULL DEFAULT 1,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT scope_chain CHECK (
          (kind = 'SYSTEM' AND parent_id IS NULL AND tenant_id IS NULL AND project_id IS NULL)
          OR (kind = 'TENANT' AND parent_id IS NOT NULL AND tenant_id = id AND project_id IS NULL)
          OR (kind = 'PROJECT' AND parent_id = tenant_id AND project_id = id))
      )`);
    await runner.query('CREATE UNIQUE INDEX scope_name ON scope (parent_id, name)');
    await runner.query(`CREATE UNIQUE INDEX scope_one_system ON scope (kind) WHERE kind = 'SYSTEM'`);
    await runner.query(
      'CREATE TRIGGER scope_touch BEFORE UPDATE ON scope FOR EACH ROW EXECUTE FUNCTION muon_touch_row()',
    );
    await runner.query(
      `CREATE TRIGGER scope_watch AFTER INSERT OR UPDATE OR DELETE ON scope FOR EACH ROW EXECUTE FUNCTION muon_watch('scope')`,
    );
    await runner.query(`INSERT INTO scope (id, kind, name) VALUES ('sys_00000000000000000000000000', 'SYSTEM', 'system')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE scope');
  }
}
