import type { MigrationInterface, QueryRunner } from 'typeorm';

const RESOURCE = `
  name text NOT NULL,
  description text NOT NULL DEFAULT '',
  rules jsonb NOT NULL DEFAULT '[]',
  version bigint NOT NULL DEFAULT 1,
  revision bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()`;

/** Security groups, the policies of operators above them, and which backend has what of both. */
export class Firewall1764404000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await securityGroups(runner);
    await firewallPolicies(runner);
    for (const [table, kind] of Object.entries({ security_group: 'sgp', firewall_policy: 'fwp' })) {
      await runner.query(`CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`);
      await runner.query(`
        CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table}
        FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE firewall_backend, firewall_scope, firewall, firewall_policy, port_security_group, security_group_reference, security_group_backend, security_group',
    );
  }
}

/** Memberships and references are checked at commit, because claims are written before the rows of ports and groups. */
async function securityGroups(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE security_group (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      ${RESOURCE},
      lifecycle text NOT NULL DEFAULT 'PRESENT',
      desired_revision bigint NOT NULL DEFAULT 1,
      CONSTRAINT security_group_pkey PRIMARY KEY (id),
      CONSTRAINT security_group_lifecycle CHECK (lifecycle IN ('PRESENT', 'DELETING'))
    )`);
  await runner.query('CREATE UNIQUE INDEX security_group_name ON security_group (project_id, name)');
  await runner.query('CREATE INDEX security_group_tenant ON security_group (tenant_id)');
  await runner.query(`
    CREATE TABLE security_group_backend (
      security_group_id text COLLATE "C" NOT NULL,
      backend_id text COLLATE "C" NOT NULL,
      realised_revision bigint NOT NULL DEFAULT 0,
      CONSTRAINT security_group_backend_pkey PRIMARY KEY (security_group_id, backend_id),
      CONSTRAINT security_group_backend_group FOREIGN KEY (security_group_id) REFERENCES security_group (id) ON DELETE CASCADE
    )`);
  await runner.query('CREATE INDEX security_group_backend_backend ON security_group_backend (backend_id)');
  await runner.query(`
    CREATE TABLE security_group_reference (
      security_group_id text COLLATE "C" NOT NULL,
      referenced_id text COLLATE "C" NOT NULL,
      CONSTRAINT security_group_reference_pkey PRIMARY KEY (security_group_id, referenced_id),
      CONSTRAINT security_group_reference_group FOREIGN KEY (security_group_id) REFERENCES security_group (id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT security_group_reference_referenced FOREIGN KEY (referenced_id) REFERENCES security_group (id) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE INDEX security_group_reference_referenced_id ON security_group_reference (referenced_id)');
  await runner.query(`
    CREATE TABLE port_security_group (
      port_id text COLLATE "C" NOT NULL,
      security_group_id text COLLATE "C" NOT NULL,
      CONSTRAINT port_security_group_pkey PRIMARY KEY (port_id, security_group_id),
      CONSTRAINT port_security_group_port FOREIGN KEY (port_id) REFERENCES port (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT port_security_group_group FOREIGN KEY (security_group_id) REFERENCES security_group (id)
    )`);
  await runner.query('CREATE INDEX port_security_group_group_id ON port_security_group (security_group_id, port_id)');
}

async function firewallPolicies(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE firewall_policy (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C",
      project_id text COLLATE "C",
      ${RESOURCE},
      position integer NOT NULL,
      scope_tenant_id text COLLATE "C",
      scope_project_id text COLLATE "C",
      lifecycle text NOT NULL DEFAULT 'CREATING',
      failure jsonb,
      CONSTRAINT firewall_policy_pkey PRIMARY KEY (id),
      CONSTRAINT firewall_policy_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT firewall_policy_scope CHECK (scope_project_id IS NULL OR scope_tenant_id IS NOT NULL)
    )`);
  await runner.query('CREATE UNIQUE INDEX firewall_policy_name ON firewall_policy (name)');
  await runner.query('CREATE UNIQUE INDEX firewall_policy_position ON firewall_policy (position)');
  await runner.query('CREATE INDEX firewall_policy_scope_tenant ON firewall_policy (scope_tenant_id)');
  await runner.query(`
    CREATE TABLE firewall (
      singleton boolean NOT NULL DEFAULT true,
      last_revision bigint NOT NULL DEFAULT 0,
      CONSTRAINT firewall_pkey PRIMARY KEY (singleton),
      CONSTRAINT firewall_one_row CHECK (singleton)
    )`);
  await runner.query('INSERT INTO firewall DEFAULT VALUES');
  await runner.query(`
    CREATE TABLE firewall_scope (
      tenant_id text COLLATE "C" NOT NULL,
      changed_revision bigint NOT NULL,
      changed_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT firewall_scope_pkey PRIMARY KEY (tenant_id)
    )`);
  await runner.query(`
    CREATE TABLE firewall_backend (
      backend_id text COLLATE "C" NOT NULL,
      realised_revision bigint NOT NULL DEFAULT 0,
      CONSTRAINT firewall_backend_pkey PRIMARY KEY (backend_id)
    )`);
}
