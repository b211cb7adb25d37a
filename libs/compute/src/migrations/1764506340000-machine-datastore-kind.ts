import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The kind of datastores that a machine's root disk was asked for on, for when it is made once more. */
export class MachineDatastoreKind1764506340000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE virtual_machine ADD COLUMN datastore_kind text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE virtual_machine DROP COLUMN datastore_kind');
  }
}
