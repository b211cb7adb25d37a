import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Provider's routers, and routers that lead to the outside by them. */
export class ProviderRouters1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // A provider's router has one, too, and is no tenant's.
    await runner.query('ALTER TABLE external_address ALTER COLUMN tenant_id DROP NOT NULL, ALTER COLUMN project_id DROP NOT NULL');
    await providerRouters(runner);
    await transitAddresses(runner);
    await runner.query(`
      ALTER TABLE router
        ADD COLUMN provider_router_id text COLLATE "C",
        ADD COLUMN transit_address inet,
        ADD CONSTRAINT router_provider_uplink CHECK (
          (provider_router_id IS NULL AND transit_address IS NULL)
          OR (provider_router_id IS NOT NULL AND (transit_address IS NOT NULL OR lifecycle IN ('FAILED', 'DELETING')))),
        ADD CONSTRAINT router_one_uplink CHECK (external_network_id IS NULL OR provider_router_id IS NULL),
        ADD CONSTRAINT router_transit_address FOREIGN KEY (provider_router_id, transit_address)
          REFERENCES transit_address (provider_router_id, address) DEFERRABLE INITIALLY DEFERRED`);
    await runner.query('CREATE INDEX router_of_provider_router ON router (provider_router_id, transit_address)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX router_of_provider_router');
    await runner.query('ALTER TABLE router DROP COLUMN provider_router_id, DROP COLUMN transit_address');
    await runner.query('DROP TRIGGER floating_ip_leave_transit ON floating_ip');
    await runner.query('DROP FUNCTION muon_leave_transit()');
    await runner.query('DROP TABLE transit_address, provider_router');
    await runner.query('DELETE FROM external_address WHERE tenant_id IS NULL');
    await runner.query('ALTER TABLE external_address ALTER COLUMN tenant_id SET NOT NULL, ALTER COLUMN project_id SET NOT NULL');
  }
}

async function providerRouters(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE provider_router (
      id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C",
      project_id text COLLATE "C",
      name text NOT NULL,
      description text NOT NULL DEFAULT '',
      backend_id text COLLATE "C" NOT NULL,
      external_network_id text COLLATE "C" NOT NULL,
      external_address inet NOT NULL,
      transit_cidr cidr NOT NULL,
      transit_address inet NOT NULL,
      gateway_hosts text[] NOT NULL DEFAULT '{}',
      lifecycle text NOT NULL DEFAULT 'CREATING',
      desired_revision bigint NOT NULL DEFAULT 1,
      realised_revision bigint NOT NULL DEFAULT 0,
      failure jsonb,
      version bigint NOT NULL DEFAULT 1,
      revision bigint NOT NULL DEFAULT 1,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT provider_router_pkey PRIMARY KEY (id),
      CONSTRAINT provider_router_lifecycle CHECK (lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')),
      CONSTRAINT provider_router_transit_inside CHECK (transit_address << transit_cidr),
      CONSTRAINT provider_router_external_address FOREIGN KEY (external_network_id, external_address)
        REFERENCES external_address (external_network_id, address) DEFERRABLE INITIALLY DEFERRED
    )`);
  await runner.query('CREATE UNIQUE INDEX provider_router_name ON provider_router (name)');
  await runner.query('CREATE INDEX provider_router_of_backend ON provider_router (backend_id, id)');
  await runner.query('CREATE INDEX provider_router_of_external_network ON provider_router (external_network_id, external_address)');
  await runner.query('CREATE TRIGGER provider_router_touch BEFORE UPDATE ON provider_router FOR EACH ROW EXECUTE FUNCTION muon_touch_row()');
  await runner.query(`
    CREATE TRIGGER provider_router_watch AFTER INSERT OR UPDATE OR DELETE ON provider_router
    FOR EACH ROW EXECUTE FUNCTION muon_watch('prr')`);
}

async function transitAddresses(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE transit_address (
      provider_router_id text COLLATE "C" NOT NULL,
      address inet NOT NULL,
      owner_id text COLLATE "C" NOT NULL,
      tenant_id text COLLATE "C" NOT NULL,
      project_id text COLLATE "C" NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT transit_address_pkey PRIMARY KEY (provider_router_id, address),
      CONSTRAINT transit_address_one_host CHECK (masklen(address) = 32),
      CONSTRAINT transit_address_provider_router FOREIGN KEY (provider_router_id) REFERENCES provider_router (id)
    )`);
  await runner.query('CREATE UNIQUE INDEX transit_address_owner ON transit_address (owner_id)');
  // What a floating IP leads to takes it back to nowhere when it goes, by a foreign key, and asks nobody.
  await runner.query(`
    CREATE FUNCTION muon_leave_transit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      DELETE FROM transit_address WHERE owner_id = NEW.id;
      RETURN NULL;
    END $$`);
  await runner.query(`
    CREATE TRIGGER floating_ip_leave_transit AFTER UPDATE OF network_id ON floating_ip
    FOR EACH ROW WHEN (OLD.network_id IS NOT NULL AND NEW.network_id IS NULL) EXECUTE FUNCTION muon_leave_transit()`);
}
