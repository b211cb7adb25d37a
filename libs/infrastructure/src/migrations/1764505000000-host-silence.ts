import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Since when a host is looked at in vain: what was before a gap in looking says nothing. Null while it answers. */
export class HostSilence1764505000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host_heartbeat ADD COLUMN silent_since timestamptz');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE host_heartbeat DROP COLUMN silent_since');
  }
}
