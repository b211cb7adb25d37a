import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installationIdKind } from '../installation/installation.js';

const BOOKKEEPING = `
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()`;

const TABLES = [
  `CREATE TABLE installation (
    singleton boolean CONSTRAINT installation_pkey PRIMARY KEY DEFAULT true CONSTRAINT installation_one_row CHECK (singleton),
    id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  )`,
  `CREATE TABLE zone (
    id text COLLATE "C" CONSTRAINT zone_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT zone_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX zone_name ON zone (name)',
  `CREATE TABLE rack (
    id text COLLATE "C" CONSTRAINT rack_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    zone_id text COLLATE "C" NOT NULL CONSTRAINT rack_zone REFERENCES zone (id),
    name text NOT NULL,
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT rack_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX rack_name ON rack (zone_id, name)',
  `CREATE TABLE backend (
    id text COLLATE "C" CONSTRAINT backend_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    kind text NOT NULL,
    endpoint text NOT NULL,
    secret_ref text COLLATE "C",
    options jsonb NOT NULL DEFAULT '{}',
    max_concurrent_calls integer NOT NULL DEFAULT 16 CONSTRAINT backend_max_concurrent_calls CHECK (max_concurrent_calls BETWEEN 1 AND 1000),
    call_timeout_ms integer NOT NULL DEFAULT 10000 CONSTRAINT backend_call_timeout CHECK (call_timeout_ms BETWEEN 100 AND 600000),
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT backend_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    capabilities jsonb NOT NULL DEFAULT '{}',
    health text NOT NULL DEFAULT 'UNKNOWN' CONSTRAINT backend_health CHECK (health IN ('UNKNOWN', 'UP', 'DOWN')),
    health_since timestamptz NOT NULL DEFAULT now(),
    health_reason text,
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX backend_name ON backend (name)',
  `CREATE TABLE backend_heartbeat (
    backend_id text COLLATE "C" CONSTRAINT backend_heartbeat_pkey PRIMARY KEY
      CONSTRAINT backend_heartbeat_backend REFERENCES backend (id) ON DELETE CASCADE,
    last_seen_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 50)`,
  `CREATE TABLE host (
    id text COLLATE "C" CONSTRAINT host_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    backend_id text COLLATE "C" NOT NULL CONSTRAINT host_backend REFERENCES backend (id),
    zone_id text COLLATE "C" NOT NULL CONSTRAINT host_zone REFERENCES zone (id),
    rack_id text COLLATE "C" CONSTRAINT host_rack REFERENCES rack (id),
    name text NOT NULL,
    intent text NOT NULL DEFAULT 'ENABLED' CONSTRAINT host_intent CHECK (intent IN ('ENABLED', 'SUSPENDED', 'MAINTENANCE')),
    intent_reason text,
    cpu_overcommit double precision NOT NULL DEFAULT 16 CONSTRAINT host_cpu_overcommit CHECK (cpu_overcommit BETWEEN 0.1 AND 100),
    memory_overcommit double precision NOT NULL DEFAULT 1 CONSTRAINT host_memory_overcommit CHECK (memory_overcommit BETWEEN 0.1 AND 10),
    labels text[] NOT NULL DEFAULT '{}',
    cpu integer NOT NULL CONSTRAINT host_cpu CHECK (cpu >= 0),
    memory_mib integer NOT NULL CONSTRAINT host_memory CHECK (memory_mib >= 0),
    traits text[] NOT NULL DEFAULT '{}',
    health text NOT NULL DEFAULT 'UNKNOWN' CONSTRAINT host_health CHECK (health IN ('UNKNOWN', 'UP', 'DOWN')),
    health_since timestamptz NOT NULL DEFAULT now(),
    health_reason text,
    vacant boolean NOT NULL DEFAULT false,
    fence text NOT NULL DEFAULT 'NONE' CONSTRAINT host_fence CHECK (fence IN ('NONE', 'UNKNOWN', 'PROVEN_OFF')),
    fence_source text CONSTRAINT host_fence_source CHECK (fence_source IN ('BACKEND', 'OPERATOR')),
    fence_since timestamptz,
    fence_reason text,
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX host_name ON host (backend_id, name)',
  'CREATE INDEX host_of_zone ON host (zone_id, name)',
  'CREATE INDEX host_of_rack ON host (rack_id)',
  `CREATE INDEX host_not_up ON host (backend_id, health) WHERE health <> 'UP'`,
  `CREATE TABLE host_heartbeat (
    host_id text COLLATE "C" CONSTRAINT host_heartbeat_pkey PRIMARY KEY
      CONSTRAINT host_heartbeat_host REFERENCES host (id) ON DELETE CASCADE,
    last_seen_at timestamptz,
    beats integer NOT NULL DEFAULT 0,
    misses integer NOT NULL DEFAULT 0,
    cpu_percent double precision,
    memory_used_mib bigint,
    fence_asked_at timestamptz,
    observed_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 50)`,
  `CREATE TABLE datastore (
    id text COLLATE "C" CONSTRAINT datastore_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    backend_id text COLLATE "C" NOT NULL CONSTRAINT datastore_backend REFERENCES backend (id),
    zone_id text COLLATE "C" CONSTRAINT datastore_zone REFERENCES zone (id),
    host_id text COLLATE "C" CONSTRAINT datastore_host REFERENCES host (id),
    name text NOT NULL,
    kind text NOT NULL DEFAULT 'standard',
    overcommit double precision NOT NULL DEFAULT 1 CONSTRAINT datastore_overcommit CHECK (overcommit BETWEEN 0.1 AND 100),
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT datastore_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'PENDING_DELETE')),
    capacity_gib bigint NOT NULL CONSTRAINT datastore_capacity_gib CHECK (capacity_gib >= 0),
    ${BOOKKEEPING}
  )`,
  'CREATE UNIQUE INDEX datastore_name ON datastore (host_id, name)',
  'CREATE UNIQUE INDEX datastore_shared_name ON datastore (backend_id, name) WHERE host_id IS NULL',
  'CREATE INDEX datastore_of_backend ON datastore (backend_id)',
  'CREATE INDEX datastore_of_zone ON datastore (zone_id)',
  `CREATE TABLE datastore_heartbeat (
    datastore_id text COLLATE "C" CONSTRAINT datastore_heartbeat_pkey PRIMARY KEY
      CONSTRAINT datastore_heartbeat_datastore REFERENCES datastore (id) ON DELETE CASCADE,
    used_gib bigint NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 50)`,
];

const RESOURCES = [
  ['zone', 'zon'],
  ['rack', 'rck'],
  ['backend', 'bck'],
  ['host', 'hst'],
  ['datastore', 'dst'],
] as const;

/** A backend's secret goes when the backend does or gets another one. */
const FORGET_SECRET = [
  `CREATE FUNCTION infrastructure_forget_secret() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     DELETE FROM secret WHERE id = OLD.secret_ref;
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER backend_forget_secret AFTER DELETE ON backend FOR EACH ROW WHEN (OLD.secret_ref IS NOT NULL)
   EXECUTE FUNCTION infrastructure_forget_secret()`,
  `CREATE TRIGGER backend_replace_secret AFTER UPDATE ON backend FOR EACH ROW
   WHEN (OLD.secret_ref IS DISTINCT FROM NEW.secret_ref AND OLD.secret_ref IS NOT NULL)
   EXECUTE FUNCTION infrastructure_forget_secret()`,
];

export class Infrastructure1764000700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    for (const [table, kind] of RESOURCES) {
      await runner.query(
        `CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`,
      );
      await runner.query(
        `CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`,
      );
    }
    for (const text of FORGET_SECRET) await runner.query(text);
    await runner.query('INSERT INTO installation (id) VALUES ($1)', [installationIdKind.create()]);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE datastore_heartbeat, datastore, host_heartbeat, host, backend_heartbeat, backend, rack, zone, installation',
    );
    await runner.query('DROP FUNCTION infrastructure_forget_secret');
  }
}
