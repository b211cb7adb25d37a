import type { MigrationInterface, QueryRunner } from 'typeorm';

/** User data is sealed: what is in `user_data` as it is was written by an older version, and is found by its index. */
export class UserDataSecret1764506320000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE virtual_machine ADD COLUMN user_data_secret text COLLATE "C"');
    await runner.query(`CREATE INDEX virtual_machine_plain_user_data ON virtual_machine (id) WHERE user_data <> ''`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX virtual_machine_plain_user_data');
    await runner.query('ALTER TABLE virtual_machine DROP COLUMN user_data_secret');
  }
}
