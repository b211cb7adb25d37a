import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Counters of a minute: worth no log, and after a crash of PostgreSQL every budget is whole again. */
export class RequestBudgets1764000402001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE UNLOGGED TABLE request_budget (
        subject text COLLATE "C" CONSTRAINT request_budget_pkey PRIMARY KEY,
        window_start timestamptz NOT NULL,
        budget bigint NOT NULL,
        leased bigint NOT NULL,
        last_lease bigint NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE request_budget');
  }
}
