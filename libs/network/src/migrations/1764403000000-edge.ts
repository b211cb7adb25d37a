import type { MigrationInterface, QueryRunner } from 'typeorm';

const BOOKKEEPING = `
  version bigint NOT NULL DEFAULT 1,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()`;

const REALISED = `
  desired_revision bigint NOT NULL DEFAULT 1,
  realised_revision bigint NOT NULL DEFAULT 0,
  failure jsonb`;

/** External networks, routers and floating IPs. What holds across them is held by the foreign keys and unique indexes. */
export class Edge1764403000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await externalNetworks(runner);
    await routers(runner);
    await floatingIps(runner);
    const kinds = { external_network: 'ext', router: 'rtr', floating_ip: 'fip' };
    for (const [table, kind] of Object.entries(kinds)) {
      await runner.query(`CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`);
      await runner.query(`
        CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table}
        FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE floating_ip, router_network, router, external_address, external_network');
    await runner.query('DROP INDEX port_in_network, load_balancer_in_network');
  }
}

async function externalNetworks(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE external_network (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C",
      project_id text COLLATE "C",
      name text NOT NULL,
      description text NOT NULL DEFAULT '',
      backend_id text COLLATE "C" NOT NULL,
      physical_network text NOT NULL,
      vlan integer,
      cidr cidr NOT NULL,
      gateway inet NOT NULL,
      pools jsonb NOT NULL,
      lifecycle text NOT NULL DEFAULT 'CREATING',
      ${REALISED},
      ${BOOKKEEPING},
      CONSTRAINT external_network_pkey PRIMARY KEY (id),
      CONSTRAINT external_network_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT external_network_vlan CHECK (vlan BETWEEN 1 AND 4094),
      CONSTRAINT external_network_gateway_inside CHECK (gateway << cidr)
    )`);
  await runner.query('CREATE UNIQUE INDEX external_network_name ON external_network (name)');
  await runner.query('CREATE INDEX external_network_of_backend ON external_network (backend_id, id)');
  await runner.query(`
    CREATE TABLE external_address (
      external_network_id text COLLATE "C" NOT NULL,
      address inet NOT NULL,
      owner_id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT external_address_pkey PRIMARY KEY (external_network_id, address),
      CONSTRAINT external_address_one_host CHECK (masklen(address) = 32),
      CONSTRAINT external_address_network FOREIGN KEY (external_network_id) REFERENCES external_network (id)
    )`);
  await runner.query('CREATE UNIQUE INDEX external_address_owner ON external_address (owner_id)');
}

async function routers(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE router (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      name text NOT NULL,
      description text NOT NULL DEFAULT '',
      owner_id text COLLATE "C",
      backend_id text COLLATE "C" NOT NULL,
      external_network_id text COLLATE "C",
      external_address inet,
      source_nat boolean NOT NULL DEFAULT false,
      gateway_hosts text[] NOT NULL DEFAULT '{}',
      lifecycle text NOT NULL DEFAULT 'CREATING',
      ${REALISED},
      ${BOOKKEEPING},
      CONSTRAINT router_pkey PRIMARY KEY (id),
      CONSTRAINT router_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT router_uplink CHECK ((external_network_id IS NULL) = (external_address IS NULL)),
      CONSTRAINT router_external_address FOREIGN KEY (external_network_id, external_address)
        REFERENCES external_address (external_network_id, address) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE UNIQUE INDEX router_name ON router (project_id, name)');
  await runner.query('CREATE INDEX router_tenant ON router (tenant_id)');
  await runner.query('CREATE INDEX router_owner ON router (owner_id)');
  await runner.query('CREATE INDEX router_of_backend ON router (backend_id, id)');
  await runner.query('CREATE INDEX router_of_external_network ON router (external_network_id, external_address)');
  // The external network is the router's: floating IPs refer to both together.
  await runner.query(`
    CREATE TABLE router_network (
      network_id text COLLATE "C" NOT NULL,
      router_id text COLLATE "C" NOT NULL,
      link integer NOT NULL,
      external_network_id text COLLATE "C",
      CONSTRAINT router_network_pkey PRIMARY KEY (network_id),
      CONSTRAINT router_network_link CHECK (link BETWEEN 0 AND 63),
      CONSTRAINT router_network_network FOREIGN KEY (network_id) REFERENCES network (id) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT router_network_router FOREIGN KEY (router_id) REFERENCES router (id) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE UNIQUE INDEX router_network_links ON router_network (router_id, link)');
  await runner.query('CREATE UNIQUE INDEX router_network_uplink ON router_network (network_id, external_network_id)');
}

async function floatingIps(runner: QueryRunner): Promise<void> {
  await runner.query('CREATE UNIQUE INDEX port_in_network ON port (id, network_id)');
  await runner.query('CREATE UNIQUE INDEX load_balancer_in_network ON load_balancer (id, network_id)');
  await runner.query(`
    CREATE TABLE floating_ip (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      name text NOT NULL,
      owner_id text COLLATE "C",
      external_network_id text COLLATE "C" NOT NULL,
      address inet NOT NULL,
      network_id text COLLATE "C",
      port_id text COLLATE "C",
      load_balancer_id text COLLATE "C",
      lifecycle text NOT NULL DEFAULT 'PRESENT',
      desired_revision bigint NOT NULL DEFAULT 1,
      realised_revision bigint NOT NULL DEFAULT 0,
      ${BOOKKEEPING},
      CONSTRAINT floating_ip_pkey PRIMARY KEY (id),
      CONSTRAINT floating_ip_lifecycle CHECK (lifecycle IN ('PRESENT', 'DELETING')),
      CONSTRAINT floating_ip_one_target CHECK (port_id IS NULL OR load_balancer_id IS NULL),
      CONSTRAINT floating_ip_target_network CHECK ((network_id IS NULL) = (port_id IS NULL AND load_balancer_id IS NULL)),
      CONSTRAINT floating_ip_address FOREIGN KEY (external_network_id, address)
        REFERENCES external_address (external_network_id, address) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT floating_ip_port FOREIGN KEY (port_id, network_id)
        REFERENCES port (id, network_id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT floating_ip_load_balancer FOREIGN KEY (load_balancer_id, network_id)
        REFERENCES load_balancer (id, network_id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT floating_ip_uplink FOREIGN KEY (network_id, external_network_id)
        REFERENCES router_network (network_id, external_network_id)
    )`);
  await runner.query('CREATE UNIQUE INDEX floating_ip_name ON floating_ip (project_id, name)');
  await runner.query('CREATE UNIQUE INDEX floating_ip_of_port ON floating_ip (port_id)');
  await runner.query('CREATE UNIQUE INDEX floating_ip_of_load_balancer ON floating_ip (load_balancer_id)');
  await runner.query('CREATE INDEX floating_ip_tenant ON floating_ip (tenant_id)');
  await runner.query('CREATE INDEX floating_ip_owner ON floating_ip (owner_id)');
  await runner.query('CREATE INDEX floating_ip_of_network ON floating_ip (network_id, external_network_id)');
  await runner.query('CREATE INDEX floating_ip_of_address ON floating_ip (external_network_id, address)');
}
