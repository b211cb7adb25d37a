import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The event log is written by triggers, in the statement that changes the row, so no change can be forgotten and none
 * costs a round trip. A resource table attaches it as
 * `CREATE TRIGGER <table>_watch AFTER INSERT OR UPDATE OR DELETE ON <table> FOR EACH ROW EXECUTE FUNCTION muon_watch('<kind>')`
 * and must have the columns id, tenant_id, project_id and revision.
 */
export class EventLog1764000200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE event (
        sequence bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT event_pkey PRIMARY KEY,
        transaction_id bigint NOT NULL,
        kind text NOT NULL,
        resource_id text COLLATE "C" NOT NULL,
        tenant_id text COLLATE "C",
        project_id text COLLATE "C",
        change text NOT NULL,
        revision bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query('CREATE INDEX event_order ON event (transaction_id, sequence)');
    await runner.query('CREATE INDEX event_at ON event (at)');
    await runner.query(`
      CREATE TABLE event_log (
        id smallint CONSTRAINT event_log_pkey PRIMARY KEY DEFAULT 1 CONSTRAINT event_log_one_row CHECK (id = 1),
        epoch text NOT NULL,
        system_identifier text NOT NULL,
        pruned_transaction_id bigint NOT NULL DEFAULT 0
      )`);
    await runner.query(`
      INSERT INTO event_log (epoch, system_identifier)
      SELECT left(md5(random()::text || clock_timestamp()::text), 12),
             system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
      FROM pg_control_system()`);
    await runner.query(`
      CREATE FUNCTION muon_watch() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'DELETE' THEN
          INSERT INTO event (transaction_id, kind, resource_id, tenant_id, project_id, change, revision)
          VALUES ((pg_current_xact_id()::text)::bigint, TG_ARGV[0], OLD.id, OLD.tenant_id, OLD.project_id, 'DELETED', OLD.revision + 1);
        ELSE
          INSERT INTO event (transaction_id, kind, resource_id, tenant_id, project_id, change, revision)
          VALUES ((pg_current_xact_id()::text)::bigint, TG_ARGV[0], NEW.id, NEW.tenant_id, NEW.project_id,
                  CASE TG_OP WHEN 'INSERT' THEN 'CREATED' ELSE 'UPDATED' END, NEW.revision);
        END IF;
        RETURN NULL;
      END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION muon_watch');
    await runner.query('DROP TABLE event_log');
    await runner.query('DROP TABLE event');
  }
}
