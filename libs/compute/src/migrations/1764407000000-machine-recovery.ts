import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Machines that are made anew elsewhere: what their backend calls them from then on, what is being made in their place, and
 * what keeps it from being made. What releases before this one insert is called by its id, as ever.
 */
export class MachineRecovery1764407000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE virtual_machine
      ADD COLUMN instance_id text COLLATE "C",
      ADD COLUMN successor_id text COLLATE "C",
      ADD COLUMN recovery_block jsonb,
      ADD CONSTRAINT virtual_machine_node_recovery CHECK (owner_id IS NULL OR recovery = 'NONE')`);
    await runner.query('UPDATE virtual_machine SET instance_id = id');
    await runner.query('ALTER TABLE virtual_machine ALTER COLUMN instance_id SET NOT NULL');
    await runner.query(`CREATE FUNCTION virtual_machine_instance() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.instance_id := coalesce(NEW.instance_id, NEW.id);
        RETURN NEW;
      END $$`);
    await runner.query(
      'CREATE TRIGGER virtual_machine_instance BEFORE INSERT ON virtual_machine FOR EACH ROW EXECUTE FUNCTION virtual_machine_instance()',
    );
    await runner.query('CREATE UNIQUE INDEX virtual_machine_instance ON virtual_machine (backend_id, instance_id)');
    await runner.query('CREATE INDEX virtual_machine_successor ON virtual_machine (successor_id) WHERE successor_id IS NOT NULL');
    await runner.query(`CREATE INDEX virtual_machine_to_recover ON virtual_machine (host_id) WHERE recovery = 'RECREATE'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER virtual_machine_instance ON virtual_machine');
    await runner.query('DROP FUNCTION virtual_machine_instance()');
    await runner.query('DROP INDEX virtual_machine_to_recover');
    await runner.query(`ALTER TABLE virtual_machine DROP CONSTRAINT virtual_machine_node_recovery,
      DROP COLUMN instance_id, DROP COLUMN successor_id, DROP COLUMN recovery_block`);
  }
}
