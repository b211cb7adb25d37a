/** What the admin door of the simulated world does in more than one statement. */
export const WORLD = `
CREATE OR REPLACE FUNCTION hosts_create(b text, a jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  names text[] := (SELECT array_agg((a ->> 'prefix') || '-' || n ORDER BY n) FROM generate_series(1, (a ->> 'count')::int) n);
BEGIN
  INSERT INTO pool (backend_id, name, host_name, capacity_gib)
  SELECT b, p ->> 'name', CASE WHEN (p ->> 'shared')::boolean THEN '' ELSE u.name END, (p ->> 'capacityGib')::int
  FROM jsonb_array_elements(a -> 'pools') p
  CROSS JOIN LATERAL (SELECT unnest(CASE WHEN (p ->> 'shared')::boolean THEN names[1:1] ELSE names END)) u (name)
  ON CONFLICT DO NOTHING;
  INSERT INTO host (backend_id, name, cpu, memory_mib, traits, rack, shared_pools, state)
  SELECT b, u.name, (a ->> 'cpu')::int, (a ->> 'memoryMib')::int, text_array(a -> 'traits'), a ->> 'rack',
    (SELECT coalesce(array_agg(p ->> 'name'), '{}') FROM jsonb_array_elements(a -> 'pools') p WHERE (p ->> 'shared')::boolean),
    'ALIVE'
  FROM unnest(names) u (name)
  ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT unnest(names);
END $$;

-- A stale listing shows what there was when the fault was added.
CREATE OR REPLACE FUNCTION fault_add(b text, a jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE made int; listings jsonb;
BEGIN
  IF a ->> 'kind' = 'STALE_LISTING' THEN
    SELECT jsonb_object_agg(u.name, current_listing(b, u.name, NULL, NULL)) INTO listings
    FROM unnest('{listMachines,listDisks,listParts,listHosts}'::text[]) u (name)
    WHERE a ->> 'method' IS NULL OR a ->> 'method' = u.name;
  END IF;
  INSERT INTO fault (backend_id, kind, method, resource_id, key_contains, nth, times, delay_ms, uncancellable, host_name,
    listings, ends_at)
  VALUES (b, a ->> 'kind', a ->> 'method', a ->> 'resourceId', a ->> 'keyContains', (a ->> 'nth')::int, (a ->> 'times')::int,
    (a ->> 'delayMs')::int, (a ->> 'uncancellable')::boolean, a ->> 'hostName', listings,
    clock_timestamp() + (a ->> 'delayMs')::int * interval '1 millisecond')
  RETURNING id INTO made;
  RETURN made;
END $$;

-- An operator takes a bridge away from a host, or gives it back.
CREATE OR REPLACE FUNCTION host_connect(b text, on_host text, network text, connected boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE host SET unconnected = CASE WHEN connected THEN array_remove(unconnected, network)
    ELSE array_append(array_remove(unconnected, network), network) END
  WHERE backend_id = b AND name = on_host;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM tell(b, 'NETWORK', id) FROM network_part
  WHERE backend_id = b AND kind = 'EXTERNAL_NETWORK' AND specification ->> 'physicalNetwork' = network;
  RETURN true;
END $$;

-- Behind everybody's back, as by hand.
CREATE OR REPLACE FUNCTION part_damage(b text, i text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE network_part SET damaged = true WHERE backend_id = b AND id = i;
  IF FOUND THEN PERFORM tell(b, 'NETWORK', i); END IF;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION part_lose(b text, i text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM network_part WHERE backend_id = b AND id = i;
  IF FOUND THEN PERFORM tell(b, 'NETWORK', i); END IF;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION world_reset(b text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY
    '{work,fault,attempt,event,guest_run,guest_response,machine,snapshot,disk,network_part,pool,host}'::text[]
  LOOP
    EXECUTE format('DELETE FROM %I WHERE backend_id = $1', name) USING b;
  END LOOP;
END $$;
`;
