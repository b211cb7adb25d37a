import type { MigrationInterface, QueryRunner } from 'typeorm';

const UP = [
  `CREATE TABLE storage_policy (
    id text COLLATE "C" CONSTRAINT storage_policy_pkey PRIMARY KEY,
    tenant_id text COLLATE "C",
    project_id text COLLATE "C",
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    failures_to_tolerate integer NOT NULL DEFAULT 0 CONSTRAINT storage_policy_failures CHECK (failures_to_tolerate BETWEEN 0 AND 3),
    failure_domain text CONSTRAINT storage_policy_failure_domain CHECK (failure_domain IN ('DISK', 'HOST', 'RACK', 'ZONE')),
    redundancy_method text CONSTRAINT storage_policy_redundancy_method CHECK (redundancy_method IN ('MIRRORING', 'ERASURE_CODING')),
    needs_encryption boolean NOT NULL DEFAULT false,
    needs_shared_access boolean NOT NULL DEFAULT false,
    datastore_kinds text[] NOT NULL DEFAULT '{}',
    iops_limit integer CONSTRAINT storage_policy_iops_limit CHECK (iops_limit > 0),
    costs jsonb NOT NULL DEFAULT '{}',
    is_default boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT storage_policy_state CHECK (state IN ('ACTIVE', 'PENDING_DELETE')),
    version bigint NOT NULL DEFAULT 1,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT storage_policy_tolerates CHECK ((failures_to_tolerate > 0) = (failure_domain IS NOT NULL))
  )`,
  'CREATE UNIQUE INDEX storage_policy_name ON storage_policy (name)',
  'CREATE UNIQUE INDEX storage_policy_default ON storage_policy (is_default) WHERE is_default',
  'CREATE TRIGGER storage_policy_touch BEFORE UPDATE ON storage_policy FOR EACH ROW EXECUTE FUNCTION muon_touch_row()',
  `CREATE TRIGGER storage_policy_watch AFTER INSERT OR UPDATE OR DELETE ON storage_policy FOR EACH ROW EXECUTE FUNCTION muon_watch('stp')`,
  `ALTER TABLE disk
     ADD COLUMN storage_policy_id text COLLATE "C" CONSTRAINT disk_storage_policy REFERENCES storage_policy (id),
     ADD COLUMN costs jsonb NOT NULL DEFAULT '{}',
     ADD COLUMN compliance text CONSTRAINT disk_compliance CHECK (compliance IN ('COMPLIANT', 'REDUCED_WAITING',
       'REDUCED_REBUILDING', 'REDUCED_BLOCKED', 'RECONFIGURING', 'NONCOMPLIANT', 'UNAVAILABLE', 'UNKNOWN')),
     ADD COLUMN compliance_rules jsonb,
     ADD COLUMN compliance_since timestamptz`,
  'CREATE INDEX disk_of_storage_policy ON disk (storage_policy_id) WHERE storage_policy_id IS NOT NULL',
  `ALTER TABLE disk DROP CONSTRAINT disk_health, ADD CONSTRAINT disk_health
     CHECK (health IN ('HEALTHY', 'DEGRADED', 'REBUILDING', 'BLOCKED', 'UNAVAILABLE', 'UNKNOWN'))`,
];

const DOWN = [
  `UPDATE disk SET health = 'DEGRADED' WHERE health IN ('REBUILDING', 'BLOCKED')`,
  `ALTER TABLE disk DROP CONSTRAINT disk_health, ADD CONSTRAINT disk_health
     CHECK (health IN ('HEALTHY', 'DEGRADED', 'UNAVAILABLE', 'UNKNOWN'))`,
  `ALTER TABLE disk DROP COLUMN storage_policy_id, DROP COLUMN costs, DROP COLUMN compliance, DROP COLUMN compliance_rules,
     DROP COLUMN compliance_since`,
  'DROP TABLE storage_policy',
];

export class StoragePolicies1764506350200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of UP) await runner.query(text);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const text of DOWN) await runner.query(text);
  }
}
