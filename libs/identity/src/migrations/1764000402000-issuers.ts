import type { MigrationInterface, QueryRunner } from 'typeorm';

const STATEMENTS = [
  `CREATE TABLE issuer (
    id text COLLATE "C" CONSTRAINT issuer_pkey PRIMARY KEY,
    scope_id text COLLATE "C" NOT NULL CONSTRAINT issuer_scope REFERENCES scope (id),
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    url text COLLATE "C" NOT NULL,
    audience text COLLATE "C" NOT NULL,
    jwks_uri text,
    client_id text,
    subject_claim text NOT NULL,
    name_claim text NOT NULL,
    groups_claim text,
    algorithms text[] NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT issuer_place CHECK (project_id IS NULL AND (tenant_id IS NULL OR tenant_id = scope_id))
  )`,
  'CREATE UNIQUE INDEX issuer_name ON issuer (scope_id, name)',
  'CREATE UNIQUE INDEX issuer_audience ON issuer (url, audience)',
  'CREATE TRIGGER issuer_touch BEFORE UPDATE ON issuer FOR EACH ROW EXECUTE FUNCTION muon_touch_row()',
  `CREATE TRIGGER issuer_watch AFTER INSERT OR UPDATE OR DELETE ON issuer FOR EACH ROW EXECUTE FUNCTION muon_watch('iss')`,
  `ALTER TABLE principal
    ADD COLUMN issuer_id text COLLATE "C" CONSTRAINT principal_issuer REFERENCES issuer (id),
    ADD COLUMN subject text COLLATE "C",
    ADD COLUMN email text,
    ADD COLUMN claimed_groups text[],
    ADD COLUMN claims_digest text,
    ADD COLUMN claims_at timestamptz,
    ADD CONSTRAINT principal_of_issuer CHECK ((issuer_id IS NULL) = (subject IS NULL))`,
  'CREATE UNIQUE INDEX principal_subject ON principal (issuer_id, subject) WHERE issuer_id IS NOT NULL',
  // Two people of a directory may share a name; who they are is their subject.
  'DROP INDEX principal_name',
  'CREATE UNIQUE INDEX principal_name ON principal (scope_id, kind, name) WHERE issuer_id IS NULL',
  'CREATE INDEX principal_of_scope ON principal (scope_id, name)',
  // A role that is being granted to one of them holds its row FOR KEY SHARE: one of the two waits for the other.
  `CREATE FUNCTION muon_remove_issuer() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM 1 FROM principal WHERE issuer_id = OLD.id ORDER BY id FOR UPDATE;
    PERFORM 1 FROM principal_group WHERE issuer = OLD.id ORDER BY id FOR UPDATE;
    IF EXISTS (SELECT 1 FROM role_binding JOIN principal ON principal.id = role_binding.principal_id WHERE principal.issuer_id = OLD.id)
      OR EXISTS (SELECT 1 FROM role_binding JOIN principal_group ON principal_group.id = role_binding.group_id WHERE principal_group.issuer = OLD.id) THEN
      RAISE EXCEPTION 'people or groups of issuer % hold roles', OLD.id USING ERRCODE = 'check_violation', CONSTRAINT = 'issuer_without_roles';
    END IF;
    DELETE FROM principal WHERE issuer_id = OLD.id;
    DELETE FROM principal_group WHERE issuer = OLD.id;
    RETURN OLD;
  END $$`,
  // Whoever signs in holds the issuer FOR SHARE: it either sees the new group, or is seen here.
  `CREATE FUNCTION muon_claimed_group() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM 1 FROM issuer WHERE id = NEW.issuer FOR NO KEY UPDATE;
    INSERT INTO group_membership (group_id, principal_id)
    SELECT NEW.id, p.id FROM principal AS p
    WHERE p.issuer_id = NEW.issuer AND p.scope_id = NEW.scope_id AND NEW.name = ANY(p.claimed_groups)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER principal_group_claimed AFTER INSERT ON principal_group FOR EACH ROW
    WHEN (NEW.issuer IS NOT NULL) EXECUTE FUNCTION muon_claimed_group()`,
  'CREATE TRIGGER issuer_remove BEFORE DELETE ON issuer FOR EACH ROW EXECUTE FUNCTION muon_remove_issuer()',
];

export class Issuers1764000402000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of STATEMENTS) await runner.query(text);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DELETE FROM principal WHERE issuer_id IS NOT NULL');
    await runner.query('DROP INDEX principal_of_scope, principal_subject, principal_name');
    await runner.query('CREATE UNIQUE INDEX principal_name ON principal (scope_id, kind, name)');
    await runner.query(
      'ALTER TABLE principal DROP COLUMN issuer_id, DROP COLUMN subject, DROP COLUMN email, DROP COLUMN claimed_groups, DROP COLUMN claims_digest, DROP COLUMN claims_at',
    );
    await runner.query('DROP TRIGGER principal_group_claimed ON principal_group');
    await runner.query('DROP TABLE issuer');
    await runner.query('DROP FUNCTION muon_remove_issuer, muon_claimed_group');
  }
}
