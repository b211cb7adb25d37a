import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `muon_touch_row` keeps `revision` and `updated_at` true whoever writes: a resource table attaches it as
 * `CREATE TRIGGER <table>_touch BEFORE UPDATE ON <table> FOR EACH ROW EXECUTE FUNCTION muon_touch_row()`.
 */
export class RowFunctions1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION muon_touch_row() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.revision := OLD.revision + 1;
        NEW.updated_at := now();
        RETURN NEW;
      END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION muon_touch_row');
  }
}
