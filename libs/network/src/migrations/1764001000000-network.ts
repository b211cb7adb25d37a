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

/**
 * References to what one change set makes together (a network, its subnets, addresses and spans) are checked at commit,
 * because claims are written before rows (the lock order of the house).
 */
export class Network1764001000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Trusted since PostgreSQL 13: the database's owner may create it. Lets one constraint compare text and cidr.
    await runner.query('CREATE EXTENSION IF NOT EXISTS btree_gist');
    await networks(runner);
    await subnets(runner);
    await ports(runner);
    await loadBalancers(runner);
    const kinds = { network: 'net', subnet: 'sub', port: 'prt', load_balancer: 'lb' };
    for (const [table, kind] of Object.entries(kinds)) {
      await runner.query(`CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`);
      await runner.query(`
        CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table}
        FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE load_balancer_member, load_balancer_listener, load_balancer, port, address_allocation, subnet, network_backend, network',
    );
  }
}

async function networks(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE network (
      ${RESOURCE},
      description text NOT NULL DEFAULT '',
      lifecycle text NOT NULL DEFAULT 'CREATING',
      desired_revision bigint NOT NULL DEFAULT 1,
      failure jsonb,
      CONSTRAINT network_pkey PRIMARY KEY (id),
      CONSTRAINT network_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'PENDING_DELETE', 'DELETING', 'FAILED'))
    )`);
  await runner.query('CREATE UNIQUE INDEX network_name ON network (project_id, name)');
  await runner.query('CREATE INDEX network_tenant ON network (tenant_id)');
  await runner.query(`
    CREATE TABLE network_backend (
      network_id text COLLATE "C" NOT NULL,
      backend_id text COLLATE "C" NOT NULL,
      realised_revision bigint NOT NULL DEFAULT 0,
      CONSTRAINT network_backend_pkey PRIMARY KEY (network_id, backend_id),
      CONSTRAINT network_backend_network FOREIGN KEY (network_id) REFERENCES network (id) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE INDEX network_backend_backend ON network_backend (backend_id)');
}

async function subnets(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE subnet (
      ${RESOURCE},
      network_id text COLLATE "C" NOT NULL,
      cidr cidr NOT NULL,
      gateway inet NOT NULL,
      pools jsonb NOT NULL,
      lifecycle text NOT NULL DEFAULT 'CREATING',
      failure jsonb,
      CONSTRAINT subnet_pkey PRIMARY KEY (id),
      CONSTRAINT subnet_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT subnet_cidr_size CHECK (family(cidr) = 4 AND masklen(cidr) BETWEEN 16 AND 29),
      CONSTRAINT subnet_gateway_inside CHECK (gateway << cidr),
      CONSTRAINT subnet_network FOREIGN KEY (network_id) REFERENCES network (id) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT subnet_overlap EXCLUDE USING gist (project_id WITH =, cidr inet_ops WITH &&)
    )`);
  await runner.query('CREATE UNIQUE INDEX subnet_name ON subnet (network_id, name)');
  await runner.query('CREATE INDEX subnet_tenant ON subnet (tenant_id)');
  await runner.query(`
    CREATE TABLE address_allocation (
      subnet_id text COLLATE "C" NOT NULL,
      address inet NOT NULL,
      owner_id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT address_allocation_pkey PRIMARY KEY (subnet_id, address),
      CONSTRAINT address_allocation_one_host CHECK (masklen(address) = 32),
      CONSTRAINT address_allocation_subnet FOREIGN KEY (subnet_id) REFERENCES subnet (id) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE INDEX address_allocation_owner ON address_allocation (owner_id)');
}

async function ports(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE port (
      ${RESOURCE},
      network_id text COLLATE "C" NOT NULL,
      subnet_id text COLLATE "C" NOT NULL,
      mac_address macaddr NOT NULL,
      address inet NOT NULL,
      owner_id text COLLATE "C" NOT NULL,
      backend_id text COLLATE "C" NOT NULL,
      host_id text COLLATE "C" NOT NULL,
      lifecycle text NOT NULL DEFAULT 'PRESENT',
      desired_revision bigint NOT NULL DEFAULT 1,
      realised_revision bigint NOT NULL DEFAULT 0,
      CONSTRAINT port_pkey PRIMARY KEY (id),
      CONSTRAINT port_lifecycle CHECK (lifecycle IN ('PRESENT', 'DELETING')),
      CONSTRAINT port_network FOREIGN KEY (network_id) REFERENCES network (id) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT port_address FOREIGN KEY (subnet_id, address) REFERENCES address_allocation (subnet_id, address) DEFERRABLE INITIALLY DEFERRED
    )`);
  // A card's address must be its own in the network that it is plugged into; elsewhere it may come again.
  await runner.query('CREATE UNIQUE INDEX port_mac_address ON port (network_id, mac_address)');
  await runner.query('CREATE INDEX port_owner ON port (owner_id)');
  await runner.query('CREATE INDEX port_backend ON port (backend_id, id)');
  await runner.query('CREATE INDEX port_project ON port (project_id)');
  await runner.query('CREATE INDEX port_tenant ON port (tenant_id)');
  await runner.query('CREATE INDEX port_subnet ON port (subnet_id, address)');
}

async function loadBalancers(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE load_balancer (
      ${RESOURCE},
      network_id text COLLATE "C" NOT NULL,
      subnet_id text COLLATE "C",
      address inet,
      owner_id text COLLATE "C",
      backend_id text COLLATE "C" NOT NULL,
      lifecycle text NOT NULL DEFAULT 'CREATING',
      desired_revision bigint NOT NULL DEFAULT 1,
      realised_revision bigint NOT NULL DEFAULT 0,
      failure jsonb,
      CONSTRAINT load_balancer_pkey PRIMARY KEY (id),
      CONSTRAINT load_balancer_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT load_balancer_network FOREIGN KEY (network_id) REFERENCES network (id) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT load_balancer_address FOREIGN KEY (subnet_id, address) REFERENCES address_allocation (subnet_id, address) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE UNIQUE INDEX load_balancer_name ON load_balancer (project_id, name)');
  await runner.query('CREATE INDEX load_balancer_network_id ON load_balancer (network_id)');
  await runner.query('CREATE INDEX load_balancer_backend ON load_balancer (backend_id, id)');
  await runner.query('CREATE INDEX load_balancer_tenant ON load_balancer (tenant_id)');
  await runner.query('CREATE INDEX load_balancer_owner ON load_balancer (owner_id)');
  await runner.query(`
    CREATE TABLE load_balancer_listener (
      load_balancer_id text COLLATE "C" NOT NULL,
      port integer NOT NULL,
      member_port integer NOT NULL,
      CONSTRAINT load_balancer_listener_pkey PRIMARY KEY (load_balancer_id, port),
      CONSTRAINT load_balancer_listener_port CHECK (port BETWEEN 1 AND 65535),
      CONSTRAINT load_balancer_listener_member_port CHECK (member_port BETWEEN 1 AND 65535),
      CONSTRAINT load_balancer_listener_owner FOREIGN KEY (load_balancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
    )`);
  await runner.query(`
    CREATE TABLE load_balancer_member (
      load_balancer_id text COLLATE "C" NOT NULL,
      port_id text COLLATE "C" NOT NULL,
      CONSTRAINT load_balancer_member_pkey PRIMARY KEY (load_balancer_id, port_id),
      CONSTRAINT load_balancer_member_owner FOREIGN KEY (load_balancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE,
      CONSTRAINT load_balancer_member_port FOREIGN KEY (port_id) REFERENCES port (id) ON DELETE CASCADE
    )`);
  await runner.query('CREATE INDEX load_balancer_member_port_id ON load_balancer_member (port_id)');
}
