import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * More roles than OWNER, roles that a tenant makes, and the guard of the last owner: whoever takes an owner away waits for
 * others who do the same to that scope, and then looks who is left. Who owns by a group of an issuer counts without looking
 * for members, because that directory says who they are.
 */
const GUARD = [
  `CREATE FUNCTION muon_keep_owner(scope_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE kept text;
  BEGIN
    FOR kept IN SELECT id FROM scope WHERE id = ANY(scope_ids) AND state <> 'DELETING' ORDER BY id LOOP
      PERFORM pg_advisory_xact_lock(hashtextextended('muon.owners.' || kept, 0));
      PERFORM FROM role_binding AS b
        LEFT JOIN principal_group AS g ON g.id = b.group_id
        LEFT JOIN group_membership AS m ON m.group_id = g.id
        LEFT JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
        WHERE b.scope_id = kept AND b.role = 'OWNER' AND (g.issuer IS NOT NULL OR (p.id IS NOT NULL AND p.disabled_at IS NULL))
        LIMIT 1;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'the scope % would be left without an owner', kept USING ERRCODE = '23514', CONSTRAINT = 'scope_last_owner', DETAIL = kept;
      END IF;
    END LOOP;
  END $$`,
  `CREATE FUNCTION muon_binding_removed() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_keep_owner(ARRAY(SELECT DISTINCT scope_id FROM gone WHERE role = 'OWNER'));
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER role_binding_last_owner AFTER DELETE ON role_binding REFERENCING OLD TABLE AS gone
   FOR EACH STATEMENT EXECUTE FUNCTION muon_binding_removed()`,
  `CREATE FUNCTION muon_membership_removed() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_keep_owner(ARRAY(
      SELECT DISTINCT b.scope_id FROM gone JOIN role_binding AS b ON b.group_id = gone.group_id WHERE b.role = 'OWNER'));
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER group_membership_last_owner AFTER DELETE ON group_membership REFERENCING OLD TABLE AS gone
   FOR EACH STATEMENT EXECUTE FUNCTION muon_membership_removed()`,
  `CREATE FUNCTION muon_principal_disabled() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_keep_owner(ARRAY(
      SELECT b.scope_id FROM changed JOIN role_binding AS b ON b.principal_id = changed.id
      WHERE changed.disabled_at IS NOT NULL AND b.role = 'OWNER'
      UNION
      SELECT b.scope_id FROM changed JOIN group_membership AS m ON m.principal_id = changed.id
        JOIN role_binding AS b ON b.group_id = m.group_id
      WHERE changed.disabled_at IS NOT NULL AND b.role = 'OWNER'));
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER principal_last_owner AFTER UPDATE ON principal REFERENCING NEW TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION muon_principal_disabled()`,
];

export class Roles1764000401001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE custom_role (
        id text COLLATE "C" CONSTRAINT custom_role_pkey PRIMARY KEY,
        tenant_id text COLLATE "C" NOT NULL CONSTRAINT custom_role_tenant REFERENCES scope (id),
        project_id text COLLATE "C",
        name text NOT NULL,
        description text NOT NULL,
        permissions jsonb NOT NULL,
        version bigint NOT NULL DEFAULT 1,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE UNIQUE INDEX custom_role_name ON custom_role (tenant_id, name)');
    await runner.query('CREATE TRIGGER custom_role_touch BEFORE UPDATE ON custom_role FOR EACH ROW EXECUTE FUNCTION muon_touch_row()');
    await runner.query(
      `CREATE TRIGGER custom_role_watch AFTER INSERT OR UPDATE OR DELETE ON custom_role FOR EACH ROW EXECUTE FUNCTION muon_watch('rol')`,
    );
    await runner.query(`
      ALTER TABLE role_binding
        DROP CONSTRAINT role_binding_role,
        ALTER COLUMN role DROP NOT NULL,
        ADD COLUMN custom_role_id text COLLATE "C" CONSTRAINT role_binding_custom_role REFERENCES custom_role (id),
        ADD CONSTRAINT role_binding_role CHECK (role IN ('OWNER', 'CONTRIBUTOR', 'LIMITED_CONTRIBUTOR', 'VIEWER')),
        ADD CONSTRAINT role_binding_one_role CHECK (num_nonnulls(role, custom_role_id) = 1)`);
    await runner.query('CREATE UNIQUE INDEX role_binding_custom_once ON role_binding (principal_id, scope_id, custom_role_id)');
    await runner.query('CREATE UNIQUE INDEX role_binding_of_group_custom_once ON role_binding (group_id, scope_id, custom_role_id)');
    await runner.query('CREATE INDEX role_binding_of_custom_role ON role_binding (custom_role_id)');
    for (const text of GUARD) await runner.query(text);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TRIGGER principal_last_owner ON principal`);
    await runner.query(`DROP TRIGGER group_membership_last_owner ON group_membership`);
    await runner.query(`DROP TRIGGER role_binding_last_owner ON role_binding`);
    await runner.query('DROP FUNCTION muon_principal_disabled, muon_membership_removed, muon_binding_removed, muon_keep_owner');
    await runner.query(`DELETE FROM role_binding WHERE role IS DISTINCT FROM 'OWNER'`);
    await runner.query(`
      ALTER TABLE role_binding DROP CONSTRAINT role_binding_role, DROP COLUMN custom_role_id, ALTER COLUMN role SET NOT NULL,
        ADD CONSTRAINT role_binding_role CHECK (role IN ('OWNER'))`);
    await runner.query('DROP TABLE custom_role');
  }
}
