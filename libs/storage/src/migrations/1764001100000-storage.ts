import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = [
  `CREATE TABLE disk (
    id text COLLATE "C" CONSTRAINT disk_pkey PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    size_gib integer NOT NULL CONSTRAINT disk_size CHECK (size_gib > 0),
    image_reference text,
    owner_id text COLLATE "C",
    position integer NOT NULL DEFAULT 0,
    datastore_id text COLLATE "C" NOT NULL,
    backend_id text COLLATE "C" NOT NULL,
    zone_id text COLLATE "C",
    host_id text COLLATE "C",
    lifecycle text NOT NULL CONSTRAINT disk_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
    realised_gib integer NOT NULL DEFAULT 0,
    health text NOT NULL DEFAULT 'UNKNOWN' CONSTRAINT disk_health
      CHECK (health IN ('HEALTHY', 'DEGRADED', 'UNAVAILABLE', 'UNKNOWN')),
    observed_at timestamptz,
    failure jsonb,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  // A machine's root disk is called as its machine, which keeps names apart itself.
  'CREATE UNIQUE INDEX disk_name ON disk (project_id, name) WHERE image_reference IS NULL',
  'CREATE INDEX disk_of_owner ON disk (owner_id) WHERE owner_id IS NOT NULL',
  'CREATE INDEX disk_of_backend ON disk (backend_id, id)',
  'CREATE INDEX disk_of_tenant ON disk (tenant_id)',
];

export class Storage1764001100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    await runner.query('CREATE TRIGGER disk_touch BEFORE UPDATE ON disk FOR EACH ROW EXECUTE FUNCTION muon_touch_row()');
    await runner.query(
      `CREATE TRIGGER disk_watch AFTER INSERT OR UPDATE OR DELETE ON disk FOR EACH ROW EXECUTE FUNCTION muon_watch('dsk')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE disk');
  }
}
