import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A subnet has no address in common with what its network's router leads to, nor with what that may go back to while it is
 * being changed. Whoever makes a subnet holds the network alone, whoever leads it outside together with others who do, until
 * the commit; who comes second then sees what the first has written.
 */
const GUARD = [
  `CREATE FUNCTION muon_outside_of(router_id text, with_held boolean) RETURNS TABLE (kind text, name text, cidr cidr) LANGUAGE sql STABLE AS $$
    WITH led AS (
      SELECT r.external_network_id, r.provider_router_id FROM router AS r WHERE r.id = $1
      UNION ALL
      SELECT a.external_network_id, NULL FROM external_address AS a WHERE $2 AND a.owner_id IN ($1 || '/change', $1 || '/undo')
      UNION ALL
      SELECT NULL, a.provider_router_id FROM transit_address AS a WHERE $2 AND a.owner_id IN ($1 || '/change', $1 || '/undo')
    ), provider AS (
      SELECT p.name, p.transit_cidr, p.external_network_id FROM provider_router AS p WHERE p.id IN (SELECT provider_router_id FROM led)
    )
    SELECT 'external network', e.name, e.cidr FROM external_network AS e
    WHERE e.id IN (SELECT external_network_id FROM led UNION SELECT external_network_id FROM provider)
    UNION ALL
    SELECT 'provider router', p.name, p.transit_cidr FROM provider AS p
  $$`,
  `CREATE FUNCTION muon_subnet_inside() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE met record;
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('muon.inside.' || NEW.network_id, 0));
    SELECT o.kind, o.name, o.cidr INTO met FROM router_network AS n CROSS JOIN LATERAL muon_outside_of(n.router_id, true) AS o
    WHERE n.network_id = NEW.network_id AND o.cidr && NEW.cidr LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the subnet % overlaps what is outside', NEW.id
        USING ERRCODE = '23P01', CONSTRAINT = 'subnet_inside', DETAIL = format('%s and the %s "%s" (%s)', NEW.cidr, met.kind, met.name, met.cidr);
    END IF;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER subnet_inside AFTER INSERT OR UPDATE OF cidr, network_id ON subnet FOR EACH ROW EXECUTE FUNCTION muon_subnet_inside()`,
  `CREATE FUNCTION muon_keep_outside(router_id text, network_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    led text;
    met record;
  BEGIN
    FOREACH led IN ARRAY network_ids LOOP
      PERFORM pg_advisory_xact_lock_shared(hashtextextended('muon.inside.' || led, 0));
    END LOOP;
    SELECT s.cidr AS own, o.kind, o.name, o.cidr INTO met FROM subnet AS s CROSS JOIN muon_outside_of($1, false) AS o
    WHERE s.network_id = ANY(network_ids) AND o.cidr && s.cidr LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the router % leads to what a subnet overlaps', $1
        USING ERRCODE = '23P01', CONSTRAINT = 'subnet_inside', DETAIL = format('%s and the %s "%s" (%s)', met.own, met.kind, met.name, met.cidr);
    END IF;
  END $$`,
  `CREATE FUNCTION muon_network_outside() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_keep_outside(NEW.router_id, ARRAY[NEW.network_id]);
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER router_network_outside AFTER INSERT OR UPDATE ON router_network FOR EACH ROW EXECUTE FUNCTION muon_network_outside()`,
  `CREATE FUNCTION muon_router_outside() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_keep_outside(NEW.id, ARRAY(SELECT n.network_id FROM router_network AS n WHERE n.router_id = NEW.id ORDER BY n.network_id));
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER router_outside AFTER UPDATE OF external_network_id, provider_router_id ON router FOR EACH ROW
   WHEN (OLD.external_network_id IS DISTINCT FROM NEW.external_network_id OR OLD.provider_router_id IS DISTINCT FROM NEW.provider_router_id)
   EXECUTE FUNCTION muon_router_outside()`,
];

export class InsideAndOutside1764506100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of GUARD) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER router_outside ON router');
    await runner.query('DROP TRIGGER router_network_outside ON router_network');
    await runner.query('DROP TRIGGER subnet_inside ON subnet');
    await runner.query('DROP FUNCTION muon_router_outside(), muon_network_outside(), muon_subnet_inside(), muon_keep_outside(text, text[]), muon_outside_of(text, boolean)');
  }
}
