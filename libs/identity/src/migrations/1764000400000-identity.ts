import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = [
  `CREATE TABLE principal (
    id text COLLATE "C" CONSTRAINT principal_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT principal_kind CHECK (kind IN ('USER', 'SERVICE_ACCOUNT')),
    scope_id text COLLATE "C" NOT NULL CONSTRAINT principal_scope REFERENCES scope (id),
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    disabled_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE UNIQUE INDEX principal_name ON principal (scope_id, kind, name)',
  `CREATE TABLE role_binding (
    id text COLLATE "C" CONSTRAINT role_binding_pkey PRIMARY KEY,
    principal_id text COLLATE "C" NOT NULL CONSTRAINT role_binding_principal REFERENCES principal (id) ON DELETE CASCADE,
    scope_id text COLLATE "C" NOT NULL CONSTRAINT role_binding_scope REFERENCES scope (id),
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    role text NOT NULL CONSTRAINT role_binding_role CHECK (role IN ('OWNER')),
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE UNIQUE INDEX role_binding_once ON role_binding (principal_id, scope_id, role)',
  'CREATE INDEX role_binding_of_scope ON role_binding (scope_id)',
  `CREATE TABLE api_token (
    id text COLLATE "C" CONSTRAINT api_token_pkey PRIMARY KEY,
    principal_id text COLLATE "C" NOT NULL CONSTRAINT api_token_principal REFERENCES principal (id) ON DELETE CASCADE,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    secret_hash text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE UNIQUE INDEX api_token_name ON api_token (principal_id, name)',
  `CREATE TABLE audit_entry (
    id text COLLATE "C" CONSTRAINT audit_entry_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    principal_id text COLLATE "C",
    token_id text COLLATE "C",
    address text,
    request_id text NOT NULL,
    command text NOT NULL,
    outcome text NOT NULL CONSTRAINT audit_entry_outcome CHECK (outcome IN ('ACCEPTED', 'PLANNED', 'REFUSED')),
    error_code text,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    resource_id text COLLATE "C",
    operation_id text COLLATE "C",
    input jsonb NOT NULL
  )`,
  'CREATE INDEX audit_entry_of_tenant ON audit_entry (tenant_id, at, id)',
  'CREATE INDEX audit_entry_of_resource ON audit_entry (resource_id, at)',
  'CREATE INDEX audit_entry_at ON audit_entry (at, id)',
  `CREATE TABLE idempotency_key (
    principal_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    input_hash text NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (principal_id, key)
  )`,
  'CREATE INDEX idempotency_key_at ON idempotency_key (created_at)',
  `CREATE TABLE plan (
    id text COLLATE "C" CONSTRAINT plan_pkey PRIMARY KEY,
    principal_id text COLLATE "C" NOT NULL,
    command text NOT NULL,
    input jsonb NOT NULL,
    changes jsonb NOT NULL,
    requirements jsonb NOT NULL,
    snapshot text NOT NULL,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    applied_at timestamptz
  )`,
  'CREATE INDEX plan_expiry ON plan (expires_at)',
];

export class Identity1764000400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    for (const [table, kind] of [
      ['principal', 'pri'],
      ['role_binding', 'rbd'],
    ]) {
      await runner.query(
        `CREATE TRIGGER ${table}_touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`,
      );
      await runner.query(
        `CREATE TRIGGER ${table}_watch AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION muon_watch('${kind}')`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE plan, idempotency_key, audit_entry, api_token, role_binding, principal');
  }
}
