import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = [
  `CREATE TABLE host_capacity (
    host_id text COLLATE "C" CONSTRAINT host_capacity_pkey PRIMARY KEY
      CONSTRAINT host_capacity_host REFERENCES host (id) ON DELETE CASCADE,
    host_name text NOT NULL,
    backend_id text COLLATE "C" NOT NULL,
    zone_id text COLLATE "C" NOT NULL,
    rack_id text COLLATE "C",
    state text NOT NULL,
    traits text[] NOT NULL DEFAULT '{}',
    cpu_limit bigint NOT NULL,
    memory_limit_mib bigint NOT NULL,
    cpu_claimed bigint NOT NULL DEFAULT 0 CONSTRAINT host_capacity_cpu_claimed CHECK (cpu_claimed >= 0),
    memory_claimed_mib bigint NOT NULL DEFAULT 0 CONSTRAINT host_capacity_memory_claimed CHECK (memory_claimed_mib >= 0)
  ) WITH (fillfactor = 70)`,
  'CREATE INDEX host_capacity_of_zone ON host_capacity (zone_id)',
  `CREATE TABLE host_claim (
    resource_id text COLLATE "C" NOT NULL,
    host_id text COLLATE "C" NOT NULL CONSTRAINT host_claim_host REFERENCES host_capacity (host_id),
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    cpu bigint NOT NULL CONSTRAINT host_claim_cpu CHECK (cpu >= 0),
    memory_mib bigint NOT NULL CONSTRAINT host_claim_memory CHECK (memory_mib >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT host_claim_pkey PRIMARY KEY (resource_id, host_id)
  )`,
  'CREATE INDEX host_claim_of_host ON host_claim (host_id)',
  `CREATE TABLE datastore_capacity (
    datastore_id text COLLATE "C" CONSTRAINT datastore_capacity_pkey PRIMARY KEY
      CONSTRAINT datastore_capacity_datastore REFERENCES datastore (id) ON DELETE CASCADE,
    backend_id text COLLATE "C" NOT NULL,
    zone_id text COLLATE "C",
    host_id text COLLATE "C",
    kind text NOT NULL,
    state text NOT NULL,
    limit_gib bigint NOT NULL,
    claimed_gib bigint NOT NULL DEFAULT 0 CONSTRAINT datastore_capacity_claimed CHECK (claimed_gib >= 0)
  ) WITH (fillfactor = 70)`,
  'CREATE INDEX datastore_capacity_of_host ON datastore_capacity (host_id)',
  'CREATE INDEX datastore_capacity_shared ON datastore_capacity (backend_id) WHERE host_id IS NULL',
  `CREATE TABLE datastore_claim (
    resource_id text COLLATE "C" NOT NULL,
    datastore_id text COLLATE "C" NOT NULL CONSTRAINT datastore_claim_datastore REFERENCES datastore_capacity (datastore_id),
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    gib bigint NOT NULL CONSTRAINT datastore_claim_gib CHECK (gib >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT datastore_claim_pkey PRIMARY KEY (resource_id, datastore_id)
  )`,
  'CREATE INDEX datastore_claim_of_datastore ON datastore_claim (datastore_id)',
];

/**
 * The compact tables follow the rows of infrastructure by statement triggers: whoever changes a host or datastore, one
 * or ten thousand at once, placement sees it in the same transaction, and a claim that waits on the row sees it too.
 * Rows are locked in the order of their ids first, as claims lock them.
 */
const FUNCTIONS = [
  // The same as `hostState` of infrastructure; a test holds the two together.
  `CREATE FUNCTION placement_host_state(intent text, health text, fence text, vacant boolean) RETURNS text
   LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
     SELECT CASE
       WHEN health = 'DOWN' THEN CASE WHEN fence = 'PROVEN_OFF' THEN 'FENCED' ELSE 'DOWN' END
       WHEN intent = 'MAINTENANCE' THEN CASE WHEN vacant THEN 'IN_MAINTENANCE' ELSE 'ENTERING_MAINTENANCE' END
       WHEN intent = 'SUSPENDED' THEN 'SUSPENDED'
       WHEN health = 'UP' THEN 'ACTIVE'
       ELSE 'UNKNOWN' END
   $$`,
  `CREATE FUNCTION placement_add_hosts() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO host_capacity (host_id, host_name, backend_id, zone_id, rack_id, state, traits, cpu_limit, memory_limit_mib)
     SELECT id, name, backend_id, zone_id, rack_id, placement_host_state(intent, health, fence, vacant), traits || labels,
            floor(cpu * cpu_overcommit), floor(memory_mib * memory_overcommit)
     FROM added;
     RETURN NULL;
   END $$`,
  `CREATE FUNCTION placement_follow_hosts() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM FROM host_capacity WHERE host_id IN (SELECT id FROM changed) ORDER BY host_id FOR NO KEY UPDATE;
     UPDATE host_capacity AS c SET
       (host_name, zone_id, rack_id, state, traits, cpu_limit, memory_limit_mib) =
       (n.name, n.zone_id, n.rack_id, n.state, n.traits, n.cpu_limit, n.memory_limit_mib)
     FROM (SELECT id, name, zone_id, rack_id, placement_host_state(intent, health, fence, vacant) AS state,
                  traits || labels AS traits, floor(cpu * cpu_overcommit)::bigint AS cpu_limit,
                  floor(memory_mib * memory_overcommit)::bigint AS memory_limit_mib
           FROM changed) AS n
     WHERE c.host_id = n.id
       AND (c.host_name, c.zone_id, c.rack_id, c.state, c.traits, c.cpu_limit, c.memory_limit_mib)
           IS DISTINCT FROM (n.name, n.zone_id, n.rack_id, n.state, n.traits, n.cpu_limit, n.memory_limit_mib);
     RETURN NULL;
   END $$`,
  `CREATE FUNCTION placement_add_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO datastore_capacity (datastore_id, backend_id, zone_id, host_id, kind, state, limit_gib)
     SELECT id, backend_id, zone_id, host_id, kind, state, floor(capacity_gib * overcommit) FROM added;
     RETURN NULL;
   END $$`,
  `CREATE FUNCTION placement_follow_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM FROM datastore_capacity WHERE datastore_id IN (SELECT id FROM changed) ORDER BY datastore_id FOR NO KEY UPDATE;
     UPDATE datastore_capacity AS c SET
       (zone_id, kind, state, limit_gib) = (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit))
     FROM changed AS n
     WHERE c.datastore_id = n.id
       AND (c.zone_id, c.kind, c.state, c.limit_gib)
           IS DISTINCT FROM (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit)::bigint);
     RETURN NULL;
   END $$`,
];

const TRIGGERS = [
  `CREATE TRIGGER host_placement_add AFTER INSERT ON host REFERENCING NEW TABLE AS added
   FOR EACH STATEMENT EXECUTE FUNCTION placement_add_hosts()`,
  `CREATE TRIGGER host_placement_follow AFTER UPDATE ON host REFERENCING NEW TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION placement_follow_hosts()`,
  `CREATE TRIGGER datastore_placement_add AFTER INSERT ON datastore REFERENCING NEW TABLE AS added
   FOR EACH STATEMENT EXECUTE FUNCTION placement_add_datastores()`,
  `CREATE TRIGGER datastore_placement_follow AFTER UPDATE ON datastore REFERENCING NEW TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION placement_follow_datastores()`,
];

export class Placement1764000900000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of [...TABLES, ...FUNCTIONS, ...TRIGGERS]) await runner.query(text);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER host_placement_add ON host');
    await runner.query('DROP TRIGGER host_placement_follow ON host');
    await runner.query('DROP TRIGGER datastore_placement_add ON datastore');
    await runner.query('DROP TRIGGER datastore_placement_follow ON datastore');
    await runner.query(
      `DROP FUNCTION placement_add_hosts, placement_follow_hosts, placement_add_datastores, placement_follow_datastores,
         placement_host_state`,
    );
    await runner.query('DROP TABLE datastore_claim, datastore_capacity, host_claim, host_capacity');
  }
}
