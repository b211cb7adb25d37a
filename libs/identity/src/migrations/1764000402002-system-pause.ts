import type { MigrationInterface, QueryRunner } from 'typeorm';

export class SystemPause1764000402002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE system_pause (
        id text COLLATE "C" CONSTRAINT system_pause_pkey PRIMARY KEY CONSTRAINT system_pause_scope REFERENCES scope (id),
        mutations boolean NOT NULL,
        operations boolean NOT NULL,
        message text NOT NULL,
        since timestamptz NOT NULL DEFAULT now(),
        version bigint NOT NULL DEFAULT 1
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE system_pause');
  }
}
