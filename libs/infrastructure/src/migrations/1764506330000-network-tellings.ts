import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How often a host has missed something that its network was told, so that an answer is known to be about all of it. */
export class NetworkTellings1764506330000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host ADD COLUMN network_tellings bigint NOT NULL DEFAULT 0');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host DROP COLUMN network_tellings');
  }
}
