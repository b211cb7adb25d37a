import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = [
  `CREATE TABLE disk_snapshot (
    id text COLLATE "C" CONSTRAINT disk_snapshot_pkey PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    disk_id text COLLATE "C" NOT NULL CONSTRAINT disk_snapshot_disk REFERENCES disk (id),
    name text NOT NULL,
    size_gib integer NOT NULL,
    lifecycle text NOT NULL CONSTRAINT disk_snapshot_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
    taken_at timestamptz,
    failure jsonb,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE UNIQUE INDEX disk_snapshot_name ON disk_snapshot (disk_id, name)',
  'CREATE INDEX disk_snapshot_of_project ON disk_snapshot (project_id, created_at, id)',
  'CREATE INDEX disk_snapshot_of_tenant ON disk_snapshot (tenant_id)',
];

export class DiskSnapshots1764503100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    await runner.query('CREATE TRIGGER disk_snapshot_touch BEFORE UPDATE ON disk_snapshot FOR EACH ROW EXECUTE FUNCTION muon_touch_row()');
    await runner.query(
      `CREATE TRIGGER disk_snapshot_watch AFTER INSERT OR UPDATE OR DELETE ON disk_snapshot FOR EACH ROW EXECUTE FUNCTION muon_watch('dsn')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE disk_snapshot');
  }
}
