/**
 * The simulated world's tables: the schema `simulation` of a database of its own. Several backends share it by
 * `backend_id`. Whoever changes this text changes what exists only by idempotent statements (`ADD COLUMN IF NOT EXISTS`),
 * because it is applied again to databases that older versions made.
 */
export const TABLES = `
CREATE TABLE IF NOT EXISTS host (
  backend_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  cpu int NOT NULL,
  memory_mib int NOT NULL,
  traits text[] NOT NULL,
  rack text NOT NULL,
  shared_pools text[] NOT NULL,
  state text NOT NULL CHECK (state IN ('ALIVE', 'DEAD', 'PARTITIONED')),
  PRIMARY KEY (backend_id, name)
);
-- Networks outside that the host does not reach; it reaches all others.
ALTER TABLE host ADD COLUMN IF NOT EXISTS unconnected text[] NOT NULL DEFAULT '{}';

-- A pool of one host, or with an empty host name one that hosts share.
CREATE TABLE IF NOT EXISTS pool (
  backend_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  host_name text COLLATE "C" NOT NULL,
  capacity_gib int NOT NULL,
  used_gib int NOT NULL DEFAULT 0,
  health text NOT NULL DEFAULT 'HEALTHY',
  PRIMARY KEY (backend_id, name, host_name)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS machine (
  backend_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  installation_id text NOT NULL,
  tenant_id text NOT NULL,
  project_id text NOT NULL,
  hostname text NOT NULL,
  host_name text COLLATE "C" NOT NULL,
  image_reference text NOT NULL,
  cpu int NOT NULL,
  memory_mib int NOT NULL,
  power text NOT NULL,
  boot_count int NOT NULL DEFAULT 0,
  last_restart_key text,
  port_ids text[] NOT NULL,
  disk_ids text[] NOT NULL,
  ip_address text,
  user_data text NOT NULL,
  specification_hash text NOT NULL,
  PRIMARY KEY (backend_id, id)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS machine_host ON machine (backend_id, host_name);

CREATE TABLE IF NOT EXISTS guest_run (
  backend_id text COLLATE "C" NOT NULL,
  run_id text COLLATE "C" NOT NULL,
  machine_id text COLLATE "C" NOT NULL,
  script text NOT NULL,
  exit_code int NOT NULL,
  standard_output text NOT NULL,
  standard_error text NOT NULL,
  PRIMARY KEY (backend_id, run_id)
);
CREATE INDEX IF NOT EXISTS guest_run_machine ON guest_run (backend_id, machine_id);

CREATE TABLE IF NOT EXISTS guest_response (
  backend_id text COLLATE "C" NOT NULL,
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pattern text NOT NULL,
  machine_id text,
  exit_code int NOT NULL,
  standard_output text NOT NULL,
  standard_error text NOT NULL
);
CREATE INDEX IF NOT EXISTS guest_response_backend ON guest_response (backend_id, id);

CREATE TABLE IF NOT EXISTS disk (
  backend_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  installation_id text NOT NULL,
  tenant_id text NOT NULL,
  project_id text NOT NULL,
  pool_name text COLLATE "C" NOT NULL,
  -- Empty in a shared pool.
  host_name text COLLATE "C" NOT NULL,
  size_gib int NOT NULL,
  image_reference text,
  source_disk_id text,
  attached_to text COLLATE "C",
  specification_hash text NOT NULL,
  PRIMARY KEY (backend_id, id)
) WITH (fillfactor = 80);

-- Reads and writes in a second; null is unlimited.
ALTER TABLE disk ADD COLUMN IF NOT EXISTS iops_limit int;

CREATE TABLE IF NOT EXISTS snapshot (
  backend_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  disk_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (backend_id, id)
);
CREATE INDEX IF NOT EXISTS snapshot_disk ON snapshot (backend_id, disk_id);

CREATE TABLE IF NOT EXISTS network_part (
  backend_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  installation_id text NOT NULL,
  tenant_id text NOT NULL,
  project_id text NOT NULL,
  revision bigint NOT NULL,
  -- The network it lies in; null for a network.
  network_id text COLLATE "C",
  host_name text COLLATE "C",
  specification jsonb NOT NULL,
  PRIMARY KEY (backend_id, id)
);
CREATE INDEX IF NOT EXISTS network_part_network ON network_part (backend_id, network_id);
-- What routers and floating addresses build on: other parts.
ALTER TABLE network_part ADD COLUMN IF NOT EXISTS builds_on text[] NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS network_part_builds_on ON network_part USING gin (builds_on);
-- Somebody has changed it behind everybody's back; to ensure it mends that.
ALTER TABLE network_part ADD COLUMN IF NOT EXISTS damaged boolean NOT NULL DEFAULT false;

-- What was accepted and takes effect later. Hidden work is a request that got lost on its way and arrives late: the
-- backend itself does not know of it until then.
CREATE TABLE IF NOT EXISTS work (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  backend_id text COLLATE "C" NOT NULL,
  object_id text COLLATE "C" NOT NULL,
  method text NOT NULL,
  ids text[] NOT NULL,
  arguments jsonb NOT NULL,
  due_at timestamptz NOT NULL,
  hidden boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS work_due ON work (backend_id, due_at);
CREATE INDEX IF NOT EXISTS work_object ON work (backend_id, object_id);

CREATE TABLE IF NOT EXISTS fault (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  backend_id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  method text,
  resource_id text,
  key_contains text,
  -- The first matching call that it acts on, counted from 1, and on how many from there.
  nth int NOT NULL,
  times int NOT NULL,
  seen int NOT NULL DEFAULT 0,
  fired int NOT NULL DEFAULT 0,
  delay_ms int NOT NULL,
  uncancellable boolean NOT NULL,
  host_name text,
  -- Of a stale listing: what the lists show, by method, and until when.
  listings jsonb,
  ends_at timestamptz
);
CREATE INDEX IF NOT EXISTS fault_backend ON fault (backend_id, id);

-- How often a call was made under its key, for faults drawn from a seed.
CREATE TABLE IF NOT EXISTS attempt (
  backend_id text COLLATE "C" NOT NULL,
  call text COLLATE "C" NOT NULL,
  made int NOT NULL,
  last_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (backend_id, call)
) WITH (fillfactor = 50);

-- Hints for watchers; not logged, because a lost hint does no harm.
CREATE UNLOGGED TABLE IF NOT EXISTS event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  backend_id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  object_id text NOT NULL
);
`;
