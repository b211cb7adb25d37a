import type { MigrationInterface, QueryRunner } from 'typeorm';

const BOOKKEEPING = `
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()`;

const TABLES = [
  `CREATE TABLE flavor (
    id text COLLATE "C" CONSTRAINT flavor_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    cpu integer NOT NULL CONSTRAINT flavor_cpu CHECK (cpu > 0),
    memory_mib integer NOT NULL CONSTRAINT flavor_memory CHECK (memory_mib > 0),
    disk_gib integer NOT NULL CONSTRAINT flavor_disk CHECK (disk_gib > 0),
    costs jsonb NOT NULL,
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT flavor_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX flavor_name ON flavor (name)',
  `CREATE TABLE image (
    id text COLLATE "C" CONSTRAINT image_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    reference text NOT NULL,
    operating_system text NOT NULL,
    minimum_disk_gib integer NOT NULL CONSTRAINT image_disk CHECK (minimum_disk_gib > 0),
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT image_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX image_name ON image (project_id, name)',
  'CREATE UNIQUE INDEX image_shared_name ON image (name) WHERE project_id IS NULL',
  `CREATE TABLE affinity_group (
    id text COLLATE "C" CONSTRAINT affinity_group_pkey PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    policy text NOT NULL CONSTRAINT affinity_group_policy CHECK (policy IN ('AFFINITY', 'ANTI_AFFINITY')),
    strength text NOT NULL CONSTRAINT affinity_group_strength CHECK (strength IN ('REQUIRE', 'PREFER')),
    scope text NOT NULL CONSTRAINT affinity_group_scope CHECK (scope IN ('HOST', 'RACK', 'ZONE')),
    owner_id text COLLATE "C",
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX affinity_group_name ON affinity_group (project_id, name)',
  `CREATE TABLE virtual_machine (
    id text COLLATE "C" CONSTRAINT virtual_machine_pkey PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    owner_id text COLLATE "C",
    flavor_id text COLLATE "C" NOT NULL CONSTRAINT virtual_machine_flavor REFERENCES flavor (id),
    image_id text COLLATE "C" NOT NULL CONSTRAINT virtual_machine_image REFERENCES image (id),
    affinity_group_id text COLLATE "C" CONSTRAINT virtual_machine_affinity_group REFERENCES affinity_group (id),
    cpu integer NOT NULL,
    memory_mib integer NOT NULL,
    desired_power text NOT NULL CONSTRAINT virtual_machine_desired_power
      CHECK (desired_power IN ('RUNNING', 'STOPPED', 'SUSPENDED')),
    recovery text NOT NULL DEFAULT 'NONE' CONSTRAINT virtual_machine_recovery CHECK (recovery IN ('NONE', 'RECREATE')),
    user_data text NOT NULL DEFAULT '',
    metadata jsonb NOT NULL DEFAULT '{}',
    zone_id text COLLATE "C" NOT NULL,
    rack_id text COLLATE "C",
    host_id text COLLATE "C" NOT NULL,
    backend_id text COLLATE "C" NOT NULL,
    lifecycle text NOT NULL CONSTRAINT virtual_machine_lifecycle
      CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
    observed_power text NOT NULL DEFAULT 'UNKNOWN' CONSTRAINT virtual_machine_observed_power
      CHECK (observed_power IN ('RUNNING', 'STOPPED', 'SUSPENDED', 'UNKNOWN')),
    observed_at timestamptz,
    observed_reason text,
    failure jsonb,
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX virtual_machine_name ON virtual_machine (project_id, name)',
  'CREATE INDEX virtual_machine_of_project ON virtual_machine (project_id, created_at, id)',
  'CREATE INDEX virtual_machine_of_tenant ON virtual_machine (tenant_id, created_at, id)',
  'CREATE INDEX virtual_machine_of_host ON virtual_machine (host_id)',
  'CREATE INDEX virtual_machine_of_owner ON virtual_machine (owner_id) WHERE owner_id IS NOT NULL',
  'CREATE INDEX virtual_machine_of_flavor ON virtual_machine (flavor_id)',
  'CREATE INDEX virtual_machine_of_image ON virtual_machine (image_id)',
  'CREATE INDEX virtual_machine_of_group ON virtual_machine (affinity_group_id) WHERE affinity_group_id IS NOT NULL',
];

export class Compute1764001200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    for (const [table, kind] of [
      ['flavor', 'flv'],
      ['image', 'img'],
      ['affinity_group', 'afg'],
      ['virtual_machine', 'vm'],
    ]) {
      await runner.query(
        `CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`,
      );
      await runner.query(
        `CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE virtual_machine, affinity_group, image, flavor');
  }
}
