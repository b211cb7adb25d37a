import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a datastore survives, as its operator says, and whether its backend limits the accesses to a disk. */
export class DatastoreGuarantees1764506350000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE datastore
         ADD COLUMN failures_to_tolerate integer NOT NULL DEFAULT 0
           CONSTRAINT datastore_failures_to_tolerate CHECK (failures_to_tolerate BETWEEN 0 AND 3),
         ADD COLUMN failure_domain text
           CONSTRAINT datastore_failure_domain CHECK (failure_domain IN ('DISK', 'HOST', 'RACK', 'ZONE')),
         ADD COLUMN redundancy_method text
           CONSTRAINT datastore_redundancy_method CHECK (redundancy_method IN ('MIRRORING', 'ERASURE_CODING')),
         ADD COLUMN is_encrypted boolean NOT NULL DEFAULT false,
         ADD COLUMN limits_iops boolean NOT NULL DEFAULT false,
         ADD CONSTRAINT datastore_redundancy CHECK (
           (failures_to_tolerate > 0) = (failure_domain IS NOT NULL) AND (failures_to_tolerate > 0) = (redundancy_method IS NOT NULL))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE datastore DROP COLUMN failures_to_tolerate, DROP COLUMN failure_domain, DROP COLUMN redundancy_method,
         DROP COLUMN is_encrypted, DROP COLUMN limits_iops`,
    );
  }
}
