import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The security groups that a machine was asked for with, for when it is made again. */
export class MachineSecurityGroups1764404000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE virtual_machine ADD COLUMN security_group_ids text[] NOT NULL DEFAULT '{}'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE virtual_machine DROP COLUMN security_group_ids');
  }
}
