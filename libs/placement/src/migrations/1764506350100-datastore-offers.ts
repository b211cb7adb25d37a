import type { MigrationInterface, QueryRunner } from 'typeorm';

const OFFER = `placement_datastore_offer(%.kind, %.host_id IS NULL, %.failures_to_tolerate, %.failure_domain, %.redundancy_method,
  %.is_encrypted, %.limits_iops)`;
const offerOf = (row: string): string => OFFER.replaceAll('%', row);

const FUNCTIONS = [
  // The same as `offerOf` of infrastructure, as text that can be compared; a test holds the two together.
  `CREATE FUNCTION placement_datastore_offer(kind text, shared boolean, failures integer, domain text, method text, encrypted boolean,
     limits_iops boolean) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
     SELECT jsonb_build_object('kind', kind, 'isShared', shared, 'failuresToTolerate', failures, 'failureDomain', domain,
       'redundancyMethod', method, 'isEncrypted', encrypted, 'limitsIops', limits_iops)::text
   $$`,
  `CREATE OR REPLACE FUNCTION placement_add_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO datastore_capacity (datastore_id, backend_id, zone_id, host_id, kind, state, limit_gib, offer)
     SELECT id, backend_id, zone_id, host_id, kind, state, floor(capacity_gib * overcommit), ${offerOf('added')} FROM added;
     RETURN NULL;
   END $$`,
  `CREATE OR REPLACE FUNCTION placement_follow_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM FROM datastore_capacity WHERE datastore_id IN (SELECT id FROM changed) ORDER BY datastore_id FOR NO KEY UPDATE;
     UPDATE datastore_capacity AS c SET
       (zone_id, kind, state, limit_gib, offer) = (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit), ${offerOf('n')})
     FROM changed AS n
     WHERE c.datastore_id = n.id
       AND (c.zone_id, c.kind, c.state, c.limit_gib, c.offer)
           IS DISTINCT FROM (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit)::bigint, ${offerOf('n')});
     RETURN NULL;
   END $$`,
];

const BEFORE = [
  `CREATE OR REPLACE FUNCTION placement_add_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO datastore_capacity (datastore_id, backend_id, zone_id, host_id, kind, state, limit_gib)
     SELECT id, backend_id, zone_id, host_id, kind, state, floor(capacity_gib * overcommit) FROM added;
     RETURN NULL;
   END $$`,
  `CREATE OR REPLACE FUNCTION placement_follow_datastores() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM FROM datastore_capacity WHERE datastore_id IN (SELECT id FROM changed) ORDER BY datastore_id FOR NO KEY UPDATE;
     UPDATE datastore_capacity AS c SET
       (zone_id, kind, state, limit_gib) = (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit))
     FROM changed AS n
     WHERE c.datastore_id = n.id
       AND (c.zone_id, c.kind, c.state, c.limit_gib)
           IS DISTINCT FROM (n.zone_id, n.kind, n.state, floor(n.capacity_gib * n.overcommit)::bigint);
     RETURN NULL;
   END $$`,
];

/** What each datastore offers, as one text, so that a disk's policy is looked up among the few that there are. */
export class DatastoreOffers1764506350100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE datastore_capacity ADD COLUMN offer text');
    for (const text of FUNCTIONS) await runner.query(text);
    await runner.query(`UPDATE datastore_capacity AS c SET offer = ${offerOf('d')} FROM datastore AS d WHERE d.id = c.datastore_id`);
    await runner.query('ALTER TABLE datastore_capacity ALTER COLUMN offer SET NOT NULL');
    await runner.query('CREATE INDEX datastore_capacity_offer ON datastore_capacity (offer)');
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const text of BEFORE) await runner.query(text);
    await runner.query('ALTER TABLE datastore_capacity DROP COLUMN offer');
    await runner.query('DROP FUNCTION placement_datastore_offer');
  }
}
