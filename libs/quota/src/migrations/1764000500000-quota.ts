import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = [
  `CREATE TABLE quota (
    id text COLLATE "C" CONSTRAINT quota_pkey PRIMARY KEY,
    scope_id text COLLATE "C" NOT NULL CONSTRAINT quota_scope REFERENCES scope (id),
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE UNIQUE INDEX quota_of_scope ON quota (scope_id)',
  `CREATE TABLE quota_counter (
    scope_id text COLLATE "C" NOT NULL CONSTRAINT quota_counter_scope REFERENCES scope (id),
    resource_key text COLLATE "C" NOT NULL,
    zone_id text COLLATE "C" NOT NULL DEFAULT '',
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    limit_amount bigint CONSTRAINT quota_counter_limit CHECK (limit_amount >= 0),
    used_amount bigint NOT NULL DEFAULT 0 CONSTRAINT quota_counter_used CHECK (used_amount >= 0),
    CONSTRAINT quota_counter_pkey PRIMARY KEY (scope_id, resource_key, zone_id)
  )`,
  // The rows change with every charge: room in each page keeps the new versions there, out of the indexes.
  'ALTER TABLE quota_counter SET (fillfactor = 50)',
  'CREATE INDEX quota_counter_of_tenant ON quota_counter (tenant_id, resource_key, zone_id)',
  `CREATE TABLE quota_charge (
    resource_id text COLLATE "C" NOT NULL,
    resource_key text COLLATE "C" NOT NULL,
    resource_kind text NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    zone_id text COLLATE "C" NOT NULL DEFAULT '',
    amount bigint NOT NULL CONSTRAINT quota_charge_amount CHECK (amount > 0),
    metering_id text COLLATE "C" NOT NULL,
    charged_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT quota_charge_pkey PRIMARY KEY (resource_id, resource_key)
  )`,
  'CREATE INDEX quota_charge_of_tenant ON quota_charge (tenant_id, resource_key, project_id, resource_id)',
  `CREATE TABLE metering_record (
    id text COLLATE "C" CONSTRAINT metering_record_pkey PRIMARY KEY,
    resource_id text COLLATE "C" NOT NULL,
    resource_kind text NOT NULL,
    resource_key text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    zone_id text COLLATE "C" NOT NULL DEFAULT '',
    amount bigint NOT NULL CONSTRAINT metering_record_amount CHECK (amount > 0),
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    CONSTRAINT metering_record_span CHECK (to_at >= from_at)
  )`,
  'CREATE INDEX metering_record_of_tenant ON metering_record (tenant_id, from_at, id)',
];

export class Quota1764000500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of TABLES) await runner.query(text);
    await runner.query('CREATE TRIGGER quota_touch BEFORE UPDATE ON quota FOR EACH ROW EXECUTE FUNCTION muon_touch_row()');
    await runner.query(
      `CREATE TRIGGER quota_watch AFTER INSERT OR UPDATE OR DELETE ON quota FOR EACH ROW EXECUTE FUNCTION muon_watch('quo')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE metering_record, quota_charge, quota_counter, quota');
  }
}
