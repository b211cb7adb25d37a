/** What a simulated backend does with machines. `b` is the backend, `i` the machine's id, `a` the call's arguments. */
export const MACHINES = `
CREATE OR REPLACE FUNCTION machine_observed(m machine) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE hidden boolean := is_away(m.backend_id, m.host_name);
BEGIN
  RETURN jsonb_build_object(
    'machineId', m.id, 'installationId', m.installation_id, 'hostName', m.host_name,
    'power', CASE WHEN hidden THEN 'UNKNOWN' ELSE m.power END,
    'cpu', m.cpu, 'memoryMib', m.memory_mib, 'portIds', m.port_ids, 'diskIds', m.disk_ids,
    'ipAddress', CASE WHEN NOT hidden AND m.power = 'RUNNING' THEN m.ip_address END);
END $$;

-- Why the disks cannot be attached to a machine on that host; null when they can.
CREATE OR REPLACE FUNCTION disks_refused(b text, i text, on_host text, disks text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE wanted record;
BEGIN
  -- Locked, so that what is found now still holds when they are attached.
  PERFORM FROM disk WHERE backend_id = b AND id = ANY (disks) ORDER BY id FOR UPDATE;
  FOR wanted IN
    SELECT u.id, d.id AS found, d.attached_to, d.host_name
    FROM unnest(disks) u (id) LEFT JOIN disk d ON d.backend_id = b AND d.id = u.id
  LOOP
    IF wanted.found IS NULL THEN RETURN unknown('disk', wanted.id); END IF;
    IF wanted.attached_to <> i THEN
      RETURN failure('INVALID_STATE', format('The disk "%s" is attached to another machine.', wanted.id), wanted.attached_to);
    END IF;
    IF wanted.host_name NOT IN ('', on_host) THEN
      RETURN failure('BACKEND_FAILED', format('The disk "%s" lies on another host than the machine.', wanted.id),
        wanted.host_name);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION machine_create(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  m machine;
  refusal jsonb;
  on_host text := a ->> 'hostName';
  ports text[] := text_array(a -> 'portIds');
  disks text[] := text_array(a -> 'diskIds');
  missing text;
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF FOUND AND m.specification_hash <> a ->> 'hash' THEN RETURN conflicting('machine', i); END IF;
  IF FOUND THEN on_host := m.host_name; END IF;
  IF is_away(b, on_host) THEN RETURN away(on_host); END IF;
  IF m.id IS NOT NULL THEN RETURN unchanged(machine_observed(m)); END IF;
  IF NOT EXISTS (SELECT FROM host WHERE backend_id = b AND name = on_host) THEN RETURN unknown('host', on_host); END IF;
  IF (a ->> 'checkPorts')::boolean THEN
    SELECT u.id INTO missing FROM unnest(ports) u (id)
    WHERE NOT EXISTS (SELECT FROM network_part p WHERE p.backend_id = b AND p.id = u.id AND p.kind = 'PORT') LIMIT 1;
    IF missing IS NOT NULL THEN RETURN unknown('port', missing); END IF;
  END IF;
  IF (a ->> 'checkDisks')::boolean THEN
    refusal := disks_refused(b, i, on_host, disks);
    IF refusal IS NOT NULL THEN RETURN refusal; END IF;
  END IF;
  INSERT INTO machine (backend_id, id, installation_id, tenant_id, project_id, hostname, host_name, image_reference, cpu,
    memory_mib, power, port_ids, disk_ids, ip_address, user_data, specification_hash)
  VALUES (b, i, a ->> 'installationId', a ->> 'tenantId', a ->> 'projectId', a ->> 'hostname', on_host, a ->> 'imageReference',
    (a ->> 'cpu')::int, (a ->> 'memoryMib')::int, 'STOPPED', ports, disks, a ->> 'ipAddress', a ->> 'userData', a ->> 'hash')
  RETURNING * INTO m;
  UPDATE disk SET attached_to = i WHERE backend_id = b AND id = ANY (disks);
  RETURN changed(machine_observed(m));
END $$;

CREATE OR REPLACE FUNCTION machine_power(b text, i text, method text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  m machine;
  target text := CASE method WHEN 'stopMachine' THEN 'STOPPED' WHEN 'suspendMachine' THEN 'SUSPENDED' ELSE 'RUNNING' END;
  allowed text[] := CASE method
    WHEN 'startMachine' THEN '{STOPPED}' WHEN 'stopMachine' THEN '{RUNNING,SUSPENDED}'
    WHEN 'resumeMachine' THEN '{SUSPENDED}' ELSE '{RUNNING}' END;
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  IF method = 'restartMachine' THEN
    IF m.last_restart_key = a ->> 'key' THEN RETURN unchanged(); END IF;
  ELSIF m.power = target THEN
    RETURN unchanged();
  END IF;
  IF NOT m.power = ANY (allowed) THEN
    RETURN failure('INVALID_STATE', format('The machine "%s" is %s.', i, m.power));
  END IF;
  UPDATE machine SET power = target,
    boot_count = boot_count + CASE WHEN method IN ('startMachine', 'restartMachine') THEN 1 ELSE 0 END,
    last_restart_key = CASE method WHEN 'restartMachine' THEN a ->> 'key' ELSE last_restart_key END
  WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION machine_resize(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE m machine; new_cpu int := a ->> 'cpu'; new_memory_mib int := a ->> 'memoryMib';
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  IF m.cpu = new_cpu AND m.memory_mib = new_memory_mib THEN RETURN unchanged(); END IF;
  IF m.power <> 'STOPPED' THEN
    RETURN failure('INVALID_STATE', format('The machine "%s" is %s; it is resized only while stopped.', i, m.power));
  END IF;
  UPDATE machine SET cpu = new_cpu, memory_mib = new_memory_mib WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

-- A dead host's machines may move away when nothing of theirs lies on it; those of one that is cut off may still run.
CREATE OR REPLACE FUNCTION machine_move(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  m machine;
  target text := a ->> 'hostName';
  from_state text;
  d record;
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF NOT EXISTS (SELECT FROM host WHERE backend_id = b AND name = target) THEN RETURN unknown('host', target); END IF;
  IF is_away(b, target) THEN RETURN away(target); END IF;
  IF m.host_name = target THEN RETURN unchanged(); END IF;
  SELECT state INTO from_state FROM host WHERE backend_id = b AND name = m.host_name;
  IF from_state = 'PARTITIONED' THEN RETURN away(m.host_name); END IF;
  IF m.power <> 'STOPPED' THEN
    RETURN failure('INVALID_STATE', format('The machine "%s" is %s; it is moved only while stopped.', i, m.power));
  END IF;
  FOR d IN
    SELECT pool_name, sum(size_gib) AS size_gib FROM disk
    WHERE backend_id = b AND attached_to = i AND host_name <> '' GROUP BY pool_name
  LOOP
    IF from_state = 'DEAD' THEN RETURN away(m.host_name); END IF;
    IF NOT EXISTS (SELECT FROM pool p WHERE p.backend_id = b AND p.name = d.pool_name AND p.host_name = target
        AND p.used_gib + d.size_gib <= p.capacity_gib) THEN
      RETURN failure('BACKEND_FAILED', format('The pool "%s" of the other host has no room for the disks.', d.pool_name), target);
    END IF;
  END LOOP;
  FOR d IN SELECT * FROM disk WHERE backend_id = b AND attached_to = i AND host_name <> '' ORDER BY id LOOP
    UPDATE pool SET used_gib = used_gib + CASE host_name WHEN target THEN d.size_gib ELSE - d.size_gib END
    WHERE backend_id = b AND name = d.pool_name AND host_name IN (target, d.host_name);
    UPDATE disk SET host_name = target WHERE backend_id = b AND id = d.id;
  END LOOP;
  UPDATE machine SET host_name = target WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION machine_delete(b text, i text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE m machine;
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unchanged(); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  DELETE FROM machine WHERE backend_id = b AND id = i;
  DELETE FROM guest_run WHERE backend_id = b AND machine_id = i;
  UPDATE disk SET attached_to = NULL WHERE backend_id = b AND id = ANY (m.disk_ids) AND attached_to = i;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION machine_attach(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE m machine; disk_id text := a ->> 'diskId'; refusal jsonb;
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  IF disk_id = ANY (m.disk_ids) THEN RETURN unchanged(); END IF;
  IF (a ->> 'checkDisks')::boolean THEN
    refusal := disks_refused(b, i, m.host_name, ARRAY[disk_id]);
    IF refusal IS NOT NULL THEN RETURN refusal; END IF;
  END IF;
  UPDATE machine SET disk_ids = disk_ids || disk_id WHERE backend_id = b AND id = i;
  UPDATE disk SET attached_to = i WHERE backend_id = b AND id = disk_id;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION machine_detach(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE m machine; disk_id text := a ->> 'diskId';
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  IF NOT disk_id = ANY (m.disk_ids) THEN RETURN unchanged(); END IF;
  UPDATE machine SET disk_ids = array_remove(disk_ids, disk_id) WHERE backend_id = b AND id = i;
  UPDATE disk SET attached_to = NULL WHERE backend_id = b AND id = disk_id AND attached_to = i;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION machine_get(b text, i text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT unchanged(coalesce((SELECT machine_observed(m) FROM machine m WHERE backend_id = b AND id = i), 'null'))
$$;

CREATE OR REPLACE FUNCTION machine_list(b text, after text, most int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(machine_observed(m) ORDER BY m.id), '[]')
  FROM (SELECT * FROM machine WHERE backend_id = b AND id > coalesce(after, '') ORDER BY id LIMIT most) m
$$;
`;
