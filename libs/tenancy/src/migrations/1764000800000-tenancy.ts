import type { MigrationInterface, QueryRunner } from 'typeorm';

const TIMES = `version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()`;

const TABLES = [
  `CREATE TABLE tenant (
    id text COLLATE "C" CONSTRAINT tenant_pkey PRIMARY KEY CONSTRAINT tenant_scope REFERENCES scope (id),
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    display_name text NOT NULL DEFAULT '',
    all_zones boolean NOT NULL DEFAULT true,
    deletion_operation_id text COLLATE "C",
    ${TIMES},
    CONSTRAINT tenant_itself CHECK (tenant_id = id AND project_id IS NULL)
  )`,
  `CREATE TABLE project (
    id text COLLATE "C" CONSTRAINT project_pkey PRIMARY KEY CONSTRAINT project_scope REFERENCES scope (id),
    tenant_id text COLLATE "C" NOT NULL CONSTRAINT project_tenant REFERENCES tenant (id),
    project_id text COLLATE "C" NOT NULL,
    display_name text NOT NULL DEFAULT '',
    deletion_operation_id text COLLATE "C",
    ${TIMES},
    CONSTRAINT project_itself CHECK (project_id = id)
  )`,
  'CREATE INDEX project_of_tenant ON project (tenant_id)',
  `CREATE TABLE zone_grant (
    id text COLLATE "C" CONSTRAINT zone_grant_pkey PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL CONSTRAINT zone_grant_tenant REFERENCES tenant (id),
    project_id text COLLATE "C",
    zone_id text COLLATE "C" NOT NULL CONSTRAINT zone_grant_zone REFERENCES zone (id) ON DELETE CASCADE,
    ${TIMES}
  )`,
  'CREATE UNIQUE INDEX zone_grant_once ON zone_grant (tenant_id, zone_id)',
  'CREATE INDEX zone_grant_of_zone ON zone_grant (zone_id)',
];

const WATCHED = [
  ['tenant', 'ten'],
  ['project', 'prj'],
  ['zone_grant', 'zgr'],
];

export class Tenancy1764000800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    for (const [table, kind] of WATCHED) {
      await runner.query(`CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`);
      await runner.query(
        `CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`,
      );
    }
    // One id, one stream of revisions: a tenant's and a project's rows here change whenever their scope does.
    await runner.query('DROP TRIGGER scope_watch ON scope');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE zone_grant, project, tenant');
    await runner.query(
      `CREATE TRIGGER scope_watch AFTER INSERT OR UPDATE OR DELETE ON scope FOR EACH ROW EXECUTE FUNCTION muon_watch('scope')`,
    );
  }
}
