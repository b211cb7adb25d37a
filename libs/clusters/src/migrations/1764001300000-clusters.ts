import type { MigrationInterface, QueryRunner } from 'typeorm';

const RESOURCE = `
    id text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()`;

const TABLES = [
  `CREATE TABLE cluster_version (
    ${RESOURCE.replaceAll('_id text COLLATE "C" NOT NULL', '_id text COLLATE "C"')},
    kind text NOT NULL,
    release text NOT NULL,
    image_id text COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'ACTIVE',
    CONSTRAINT cluster_version_pkey PRIMARY KEY (id),
    CONSTRAINT cluster_version_kind CHECK (kind IN ('KUBERNETES', 'SWARM', 'MESOS')),
    CONSTRAINT cluster_version_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE'))
  )`,
  'CREATE UNIQUE INDEX cluster_version_name ON cluster_version (name)',
  `CREATE TABLE cluster (
    ${RESOURCE},
    kind text NOT NULL,
    version_id text COLLATE "C" NOT NULL,
    network_id text COLLATE "C",
    owns_network boolean NOT NULL,
    load_balancer_id text COLLATE "C",
    control_count integer NOT NULL,
    control_flavor_id text COLLATE "C" NOT NULL,
    control_zone_ids text[] NOT NULL DEFAULT '{}',
    control_group_id text COLLATE "C",
    worker_group_id text COLLATE "C",
    expires_at timestamptz,
    lifecycle text NOT NULL,
    pki_secret text COLLATE "C",
    join_secret text COLLATE "C",
    failure jsonb,
    conditions jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT cluster_pkey PRIMARY KEY (id),
    CONSTRAINT cluster_kind CHECK (kind IN ('KUBERNETES', 'SWARM', 'MESOS')),
    CONSTRAINT cluster_control_count CHECK (control_count IN (1, 3, 5)),
    CONSTRAINT cluster_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
    CONSTRAINT cluster_version_used FOREIGN KEY (version_id) REFERENCES cluster_version (id)
  )`,
  'CREATE UNIQUE INDEX cluster_name ON cluster (project_id, name)',
  'CREATE INDEX cluster_of_project ON cluster (project_id, created_at, id)',
  'CREATE INDEX cluster_of_tenant ON cluster (tenant_id, created_at, id)',
  'CREATE INDEX cluster_of_version ON cluster (version_id)',
  'CREATE INDEX cluster_expiry ON cluster (expires_at) WHERE expires_at IS NOT NULL',
  // What changes with every look lives apart from what is watched.
  `CREATE TABLE cluster_observation (
    cluster_id text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL DEFAULT '-infinity',
    suspects jsonb NOT NULL DEFAULT '{}',
    heal_failures integer NOT NULL DEFAULT 0,
    heal_not_before timestamptz,
    heal_error jsonb,
    CONSTRAINT cluster_observation_pkey PRIMARY KEY (cluster_id),
    CONSTRAINT cluster_observation_cluster FOREIGN KEY (cluster_id) REFERENCES cluster (id) ON DELETE CASCADE
  )`,
  'CREATE INDEX cluster_observation_turn ON cluster_observation (observed_at, cluster_id)',
  `CREATE TABLE node_pool (
    ${RESOURCE},
    cluster_id text COLLATE "C" NOT NULL,
    flavor_id text COLLATE "C" NOT NULL,
    count integer NOT NULL,
    zone_ids text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    lifecycle text NOT NULL,
    failure jsonb,
    CONSTRAINT node_pool_pkey PRIMARY KEY (id),
    CONSTRAINT node_pool_count CHECK (count >= 0),
    CONSTRAINT node_pool_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
    CONSTRAINT node_pool_cluster FOREIGN KEY (cluster_id) REFERENCES cluster (id)
  )`,
  'CREATE UNIQUE INDEX node_pool_name ON node_pool (cluster_id, name)',
  `CREATE TABLE cluster_node (
    ${RESOURCE},
    cluster_id text COLLATE "C" NOT NULL,
    pool_id text COLLATE "C",
    machine_id text COLLATE "C" NOT NULL,
    role text NOT NULL,
    phase text NOT NULL,
    health text NOT NULL DEFAULT 'UNKNOWN',
    health_reason text NOT NULL DEFAULT 'NOT_OBSERVED',
    health_since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cluster_node_pkey PRIMARY KEY (id),
    CONSTRAINT cluster_node_role CHECK (role IN ('CONTROL', 'WORKER')),
    CONSTRAINT cluster_node_pool_of_workers CHECK ((role = 'CONTROL') = (pool_id IS NULL)),
    CONSTRAINT cluster_node_phase CHECK (phase IN ('JOINING', 'JOINED', 'DRAINING', 'REMOVING')),
    CONSTRAINT cluster_node_health CHECK (health IN ('UNKNOWN', 'READY', 'NOT_READY', 'UNREACHABLE', 'LOST')),
    CONSTRAINT cluster_node_cluster FOREIGN KEY (cluster_id) REFERENCES cluster (id),
    CONSTRAINT cluster_node_pool FOREIGN KEY (pool_id) REFERENCES node_pool (id)
  )`,
  'CREATE UNIQUE INDEX cluster_node_machine ON cluster_node (machine_id)',
  'CREATE INDEX cluster_node_of_cluster ON cluster_node (cluster_id, id)',
  'CREATE INDEX cluster_node_of_pool ON cluster_node (pool_id, id) WHERE pool_id IS NOT NULL',
];

const KINDS = { cluster_version: 'cvr', cluster: 'cls', node_pool: 'npl', cluster_node: 'nod' };

export class Clusters1764001300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    for (const [table, kind] of Object.entries(KINDS)) {
      await runner.query(`CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`);
      await runner.query(`
        CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table}
        FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE cluster_node, node_pool, cluster_observation, cluster, cluster_version');
  }
}
