import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who is left as an owner; `people` says who does not count. */
const keepOwner = (people: { join: string; condition: string }): string =>
  `CREATE OR REPLACE FUNCTION muon_keep_owner(scope_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE kept text;
  BEGIN
    FOR kept IN SELECT id FROM scope WHERE id = ANY(scope_ids) AND state <> 'DELETING' ORDER BY id LOOP
      PERFORM pg_advisory_xact_lock(hashtextextended('muon.owners.' || kept, 0));
      PERFORM FROM role_binding AS b
        LEFT JOIN principal_group AS g ON g.id = b.group_id
        LEFT JOIN group_membership AS m ON m.group_id = g.id
        LEFT JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
        ${people.join}
        WHERE b.scope_id = kept AND b.role = 'OWNER' AND (g.issuer IS NOT NULL OR (p.id IS NOT NULL AND p.disabled_at IS NULL))
          ${people.condition}
        LIMIT 1;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'the scope % would be left without an owner', kept USING ERRCODE = '23514', CONSTRAINT = 'scope_last_owner', DETAIL = kept;
      END IF;
    END LOOP;
  END $$`;

/**
 * What a tenant trusts stands in nobody's way: the system's issuers have an index of their own, and one that is disabled
 * holds its URL and audience no longer. And whom a disabled issuer would sign in is no owner that a scope could be left to.
 */
export class IssuersApart1764000402003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX issuer_audience');
    await runner.query('CREATE UNIQUE INDEX issuer_audience ON issuer (url, audience) WHERE enabled AND tenant_id IS NOT NULL');
    await runner.query('CREATE UNIQUE INDEX issuer_audience_of_system ON issuer (url, audience) WHERE enabled AND tenant_id IS NULL');
    await runner.query(keepOwner({ join: 'LEFT JOIN issuer AS i ON i.id = coalesce(g.issuer, p.issuer_id)', condition: 'AND i.enabled IS NOT FALSE' }));
    await runner.query(`CREATE FUNCTION muon_issuer_disabled() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM muon_keep_owner(ARRAY(
          SELECT b.scope_id FROM role_binding AS b JOIN principal AS p ON p.id = b.principal_id WHERE p.issuer_id = NEW.id AND b.role = 'OWNER'
          UNION
          SELECT b.scope_id FROM role_binding AS b JOIN group_membership AS m ON m.group_id = b.group_id
            JOIN principal AS p ON p.id = m.principal_id WHERE p.issuer_id = NEW.id AND b.role = 'OWNER'
          UNION
          SELECT b.scope_id FROM role_binding AS b JOIN principal_group AS g ON g.id = b.group_id WHERE g.issuer = NEW.id AND b.role = 'OWNER'));
        RETURN NULL;
      END $$`);
    await runner.query(`CREATE TRIGGER issuer_last_owner AFTER UPDATE ON issuer FOR EACH ROW
      WHEN (OLD.enabled AND NOT NEW.enabled) EXECUTE FUNCTION muon_issuer_disabled()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER issuer_last_owner ON issuer');
    await runner.query('DROP FUNCTION muon_issuer_disabled');
    await runner.query(keepOwner({ join: '', condition: '' }));
    await runner.query('DROP INDEX issuer_audience_of_system, issuer_audience');
    await runner.query('CREATE UNIQUE INDEX issuer_audience ON issuer (url, audience)');
  }
}
