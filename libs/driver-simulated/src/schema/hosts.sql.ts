/** The simulated hosts: what they are, and what happens when one dies, is cut off or returns. */
export const HOSTS = `
CREATE OR REPLACE FUNCTION host_list(b text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('hostName', h.name, 'alive', h.state = 'ALIVE', 'cpu', h.cpu,
    'memoryMib', h.memory_mib, 'traits', h.traits, 'pools', coalesce(p.pools, '[]')) ORDER BY h.name), '[]')
  FROM host h
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('name', o.name, 'capacityGib', o.capacity_gib, 'usedGib', o.used_gib,
      'shared', o.host_name = '') ORDER BY o.name) AS pools
    FROM (
      SELECT * FROM pool WHERE backend_id = b AND host_name = h.name
      UNION ALL
      SELECT * FROM pool WHERE backend_id = b AND host_name = '' AND name = ANY (h.shared_pools)
    ) o
  ) p ON true
  WHERE h.backend_id = b
$$;

-- A running machine keeps a quarter of each of its processors busy.
CREATE OR REPLACE FUNCTION host_load(b text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT unchanged(coalesce(jsonb_agg(jsonb_build_object('hostName', h.name,
    'cpuPercent', least(100, round(25.0 * coalesce(m.cpu, 0) / h.cpu)),
    'memoryUsedMib', least(h.memory_mib, coalesce(m.memory_mib, 0))) ORDER BY h.name), '[]'))
  FROM host h
  LEFT JOIN (
    SELECT host_name, sum(cpu) AS cpu, sum(memory_mib) AS memory_mib FROM machine
    WHERE backend_id = b AND power = 'RUNNING' GROUP BY host_name
  ) m ON m.host_name = h.name
  WHERE h.backend_id = b AND h.state = 'ALIVE'
$$;

-- The machines of a host that dies stop, and stay stopped when it returns; those of one that is cut off run on unseen.
CREATE OR REPLACE FUNCTION host_set(b text, on_host text, new_state text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE old_state text; m record;
BEGIN
  SELECT state INTO old_state FROM host WHERE backend_id = b AND name = on_host FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  IF old_state = new_state THEN RETURN true; END IF;
  UPDATE host SET state = new_state WHERE backend_id = b AND name = on_host;
  PERFORM tell(b, 'HOST', on_host);
  FOR m IN SELECT id FROM machine WHERE backend_id = b AND host_name = on_host ORDER BY id LOOP
    IF new_state = 'DEAD' THEN UPDATE machine SET power = 'STOPPED' WHERE backend_id = b AND id = m.id; END IF;
    PERFORM tell(b, 'MACHINE', m.id);
  END LOOP;
  RETURN true;
END $$;

-- Whoever can be reached can be turned off; of a host that is cut off nothing can be said.
CREATE OR REPLACE FUNCTION host_fence(b text, on_host text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE old_state text;
BEGIN
  SELECT state INTO old_state FROM host WHERE backend_id = b AND name = on_host FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('host', on_host); END IF;
  IF old_state = 'PARTITIONED' THEN RETURN unchanged('"UNKNOWN"'); END IF;
  PERFORM host_set(b, on_host, 'DEAD');
  RETURN unchanged('"PROVEN_OFF"');
END $$;
`;
