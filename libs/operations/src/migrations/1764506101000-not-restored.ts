import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What undos could not put back as it was. A worker of before says nothing of it. */
export class NotRestored1764506101000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE operation ADD COLUMN not_restored jsonb NOT NULL DEFAULT '[]'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE operation DROP COLUMN not_restored');
  }
}
