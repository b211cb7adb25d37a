import type { MigrationInterface, QueryRunner } from 'typeorm';

export class DiskIopsLimit1764506351000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE disk ADD COLUMN iops_limit integer, ADD COLUMN realised_iops_limit integer,
         ADD CONSTRAINT disk_iops_limit CHECK (iops_limit > 0)`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE disk DROP COLUMN iops_limit, DROP COLUMN realised_iops_limit');
  }
}
