/**
 * How a call is answered: due work takes effect first, then faults act, then the call is performed, put off, or found to
 * be under way. One round trip and one transaction a call.
 */
export const CALLS = `
-- Does what a method says, at once. ids[1] is the resource that the call is about.
CREATE OR REPLACE FUNCTION perform(b text, method text, ids text[], a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE answer jsonb; i text := ids[1];
BEGIN
  answer := CASE method
    WHEN 'createMachine' THEN machine_create(b, i, a)
    WHEN 'startMachine' THEN machine_power(b, i, method, a)
    WHEN 'stopMachine' THEN machine_power(b, i, method, a)
    WHEN 'suspendMachine' THEN machine_power(b, i, method, a)
    WHEN 'resumeMachine' THEN machine_power(b, i, method, a)
    WHEN 'restartMachine' THEN machine_power(b, i, method, a)
    WHEN 'resizeMachine' THEN machine_resize(b, i, a)
    WHEN 'moveMachine' THEN machine_move(b, i, a)
    WHEN 'deleteMachine' THEN machine_delete(b, i)
    WHEN 'attachDisk' THEN machine_attach(b, i, a)
    WHEN 'detachDisk' THEN machine_detach(b, i, a)
    WHEN 'runInGuest' THEN guest_execute(b, i, a)
    WHEN 'readConsole' THEN console_read(b, i)
    WHEN 'getMachine' THEN machine_get(b, i)
    WHEN 'createDisk' THEN disk_create(b, i, a)
    WHEN 'cloneDisk' THEN disk_create(b, i, a)
    WHEN 'resizeDisk' THEN disk_resize(b, i, a)
    WHEN 'limitDisk' THEN disk_limit(b, i, a)
    WHEN 'deleteDisk' THEN disk_delete(b, i)
    WHEN 'createSnapshot' THEN snapshot_create(b, i, ids[2])
    WHEN 'deleteSnapshot' THEN snapshot_delete(b, i, ids[2])
    WHEN 'diskHealth' THEN disk_health(b, ids)
    WHEN 'getDisk' THEN disk_get(b, i)
    WHEN 'ensureNetwork' THEN part_ensure(b, i, a)
    WHEN 'ensurePort' THEN part_ensure(b, i, a)
    WHEN 'ensureLoadBalancer' THEN part_ensure(b, i, a)
    WHEN 'ensureExternalNetwork' THEN part_ensure(b, i, a)
    WHEN 'ensureProviderRouter' THEN part_ensure(b, i, a)
    WHEN 'ensureRouter' THEN router_ensure(b, i, a)
    WHEN 'ensureFloatingIp' THEN floating_ip_ensure(b, i, a)
    WHEN 'ensureSecurityGroup' THEN part_ensure(b, i, a)
    WHEN 'ensureFirewall' THEN part_ensure(b, i, a)
    WHEN 'removeNetwork' THEN part_remove(b, i, 'NETWORK')
    WHEN 'removePort' THEN part_remove(b, i, 'PORT')
    WHEN 'removeLoadBalancer' THEN part_remove(b, i, 'LOAD_BALANCER')
    WHEN 'removeExternalNetwork' THEN part_remove(b, i, 'EXTERNAL_NETWORK')
    WHEN 'removeProviderRouter' THEN part_remove(b, i, 'PROVIDER_ROUTER')
    WHEN 'removeRouter' THEN part_remove(b, i, 'ROUTER')
    WHEN 'removeFloatingIp' THEN part_remove(b, i, 'FLOATING_IP')
    WHEN 'removeSecurityGroup' THEN part_remove(b, i, 'SECURITY_GROUP')
    WHEN 'removeFirewall' THEN part_remove(b, i, 'FIREWALL')
    WHEN 'realised' THEN network_realised(b, i)
    WHEN 'physicalNetworkHosts' THEN physical_network_hosts(b, a)
    WHEN 'readLoad' THEN host_load(b)
    WHEN 'fence' THEN host_fence(b, i)
    ELSE unchanged(listing(b, method, a ->> 'after', (a ->> 'limit')::int))
  END;
  IF (answer -> 'changed')::boolean THEN
    IF method IN ('attachDisk', 'detachDisk') THEN
      PERFORM tell(b, 'MACHINE', i), tell(b, 'DISK', ids[2]);
    ELSIF method LIKE '%Machine' OR method = 'runInGuest' THEN
      PERFORM tell(b, 'MACHINE', i);
    ELSIF method LIKE '%Disk' OR method LIKE '%Snapshot' THEN
      PERFORM tell(b, 'DISK', i);
    END IF;
  END IF;
  RETURN answer;
END $$;

-- What performing it would answer, without a trace.
CREATE OR REPLACE FUNCTION preview(b text, method text, ids text[], a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE answer jsonb;
BEGIN
  BEGIN
    answer := perform(b, method, ids, a);
    RAISE EXCEPTION USING ERRCODE = 'SIM01';
  EXCEPTION WHEN SQLSTATE 'SIM01' THEN
    RETURN answer;
  END;
END $$;

CREATE OR REPLACE FUNCTION current_listing(b text, method text, after text, most int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE method
    WHEN 'listMachines' THEN machine_list(b, after, most)
    WHEN 'listDisks' THEN disk_list(b, after, most)
    WHEN 'listParts' THEN part_list(b, after, most)
    WHEN 'listHosts' THEN host_list(b)
  END;
END $$;

-- What is there, or while a scripted listing is stale what was.
CREATE OR REPLACE FUNCTION listing(b text, p_method text, after text, most int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE stale jsonb;
BEGIN
  SELECT listings -> p_method INTO stale FROM fault
  WHERE backend_id = b AND kind = 'STALE_LISTING' AND (method IS NULL OR method = p_method) AND ends_at > clock_timestamp()
  ORDER BY id DESC LIMIT 1;
  IF stale IS NULL THEN RETURN current_listing(b, p_method, after, most); END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(item ORDER BY place), '[]') FROM (
      SELECT item, place FROM jsonb_array_elements(stale) WITH ORDINALITY AS items (item, place)
      WHERE coalesce(after, '')
        < coalesce(item ->> 'machineId', item ->> 'diskId', item ->> 'id', item ->> 'hostName') COLLATE "C"
      ORDER BY place LIMIT most
    ) page);
END $$;

-- The fault that acts on this call: the first scripted one whose turn it is, else one drawn from the seed.
CREATE OR REPLACE FUNCTION next_fault(b text, p_method text, ids text[], key text, random jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE f fault; made_calls int; drawn double precision; rate record;
BEGIN
  FOR f IN
    SELECT * FROM fault
    WHERE backend_id = b AND kind <> 'STALE_LISTING' AND fired < times AND (method IS NULL OR method = p_method)
      AND (resource_id IS NULL OR resource_id = ANY (ids)) AND (key_contains IS NULL OR position(key_contains IN key) > 0)
    ORDER BY id FOR UPDATE
  LOOP
    UPDATE fault SET seen = seen + 1, fired = fired + CASE WHEN seen + 1 >= nth THEN 1 ELSE 0 END WHERE id = f.id;
    IF f.seen + 1 >= f.nth THEN
      RETURN jsonb_build_object('kind', f.kind, 'delayMs', f.delay_ms, 'uncancellable', f.uncancellable,
        'hostName', f.host_name);
    END IF;
  END LOOP;
  IF random IS NULL THEN RETURN NULL; END IF;
  INSERT INTO attempt AS t (backend_id, call, made) VALUES (b, p_method || ' ' || md5(key), 1)
  ON CONFLICT (backend_id, call) DO UPDATE SET made = t.made + 1, last_at = now() RETURNING made INTO made_calls;
  drawn := fraction(concat_ws('|', random ->> 'seed', key, p_method, made_calls));
  FOR rate IN
    SELECT r.key AS kind, r.value::double precision AS share FROM jsonb_each_text(random -> 'rates') r ORDER BY r.key
  LOOP
    drawn := drawn - rate.share;
    IF drawn < 0 THEN
      RETURN jsonb_build_object('kind', rate.kind, 'delayMs', random -> 'delayMs', 'uncancellable', random -> 'uncancellable');
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION put_off(b text, p_method text, p_ids text[], object text, a jsonb, delay_ms float8, p_hidden boolean)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO work (backend_id, object_id, method, ids, arguments, due_at, hidden)
  VALUES (b, object, p_method, p_ids, a, clock_timestamp() + delay_ms * interval '1 millisecond', p_hidden)
$$;

-- Performs a change or, when it takes time, begins it. A removal cancels the other work on its object.
CREATE OR REPLACE FUNCTION accept(b text, p_method text, p_ids text[], object text, a jsonb, removes boolean, delay_ms float8)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE under_way work; answer jsonb;
BEGIN
  IF removes THEN
    DELETE FROM work WHERE backend_id = b AND object_id = object AND NOT hidden AND method <> p_method;
  END IF;
  SELECT * INTO under_way FROM work WHERE backend_id = b AND object_id = object AND NOT hidden ORDER BY id LIMIT 1;
  IF FOUND THEN
    IF under_way.method = p_method AND under_way.ids = p_ids AND under_way.arguments - 'key' = a - 'key' THEN
      RETURN jsonb_build_object('pendingMs',
        greatest(1, ceil(extract(epoch FROM under_way.due_at - clock_timestamp()) * 1000)));
    END IF;
    RETURN failure('UNAVAILABLE', format('The backend is busy with another change of "%s".', object), under_way.method);
  END IF;
  IF delay_ms <= 0 THEN RETURN perform(b, p_method, p_ids, a); END IF;
  answer := preview(b, p_method, p_ids, a);
  IF NOT coalesce((answer -> 'changed')::boolean, false) THEN RETURN answer; END IF;
  PERFORM put_off(b, p_method, p_ids, object, a, delay_ms, false);
  RETURN jsonb_build_object('pendingMs', ceil(delay_ms));
END $$;

-- p_mode: {effect: READ | CHANGE | REMOVE, delayMs: {min, max} | null, random: {...} | null}
CREATE OR REPLACE FUNCTION answer_call(b text, p_method text, p_ids text[], object text, key text, a jsonb, p_mode jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  f jsonb;
  kind text;
  effect text := p_mode ->> 'effect';
  delay_ms double precision := 0;
  lost text;
BEGIN
  -- Settled by a transaction of its own, so that this one never holds more than its own object.
  IF EXISTS (SELECT FROM work WHERE backend_id = b AND due_at <= clock_timestamp()) THEN RETURN '{"settle": true}'; END IF;
  f := next_fault(b, p_method, p_ids, key, nullif(p_mode -> 'random', 'null'));
  kind := f ->> 'kind';
  IF kind IN ('REFUSED', 'UNAVAILABLE', 'BUSY', 'HANG') THEN RETURN jsonb_build_object('fault', kind); END IF;
  IF kind = 'HOST_LOST' THEN
    SELECT coalesce(f ->> 'hostName', (SELECT host_name FROM machine WHERE backend_id = b AND id = p_ids[1]),
      nullif((SELECT host_name FROM disk WHERE backend_id = b AND id = p_ids[1]), ''), a ->> 'hostName') INTO lost;
    PERFORM host_set(b, lost, 'DEAD');
    RETURN jsonb_build_object('fault', kind);
  END IF;
  IF effect = 'READ' THEN
    RETURN perform(b, p_method, p_ids, a)
      || CASE WHEN kind IN ('LOST_ANSWER', 'LATE_EFFECT') THEN '{"fault": "LOST_ANSWER"}'::jsonb ELSE '{}' END;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended(b || ' ' || object, 0));
  IF kind = 'LATE_EFFECT' THEN
    PERFORM put_off(b, p_method, p_ids, object, a, (f ->> 'delayMs')::float8, (f ->> 'uncancellable')::boolean);
    RETURN jsonb_build_object('fault', kind);
  END IF;
  IF p_mode -> 'delayMs' <> 'null' THEN
    delay_ms := (p_mode #>> '{delayMs,min}')::float8
      + fraction(concat_ws('|', p_mode #>> '{random,seed}', key, p_method, object))
      * ((p_mode #>> '{delayMs,max}')::float8 - (p_mode #>> '{delayMs,min}')::float8);
  END IF;
  IF kind = 'STILL_RUNNING' THEN delay_ms := (f ->> 'delayMs')::float8; END IF;
  RETURN accept(b, p_method, p_ids, object, a, effect = 'REMOVE', delay_ms)
    || CASE kind WHEN 'LOST_ANSWER' THEN jsonb_build_object('fault', kind) ELSE '{}' END;
END $$;

-- Lets work take effect whose time has come, in that order; what the world no longer allows comes to nothing.
CREATE OR REPLACE FUNCTION settle(b text, most int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE w work; settled int := 0;
BEGIN
  FOR w IN
    SELECT * FROM work WHERE backend_id = b AND due_at <= clock_timestamp() ORDER BY due_at, id LIMIT most FOR UPDATE
  LOOP
    -- A removal that came earlier in this round may have cancelled it.
    CONTINUE WHEN NOT EXISTS (SELECT FROM work WHERE id = w.id);
    PERFORM perform(b, w.method, w.ids, w.arguments);
    DELETE FROM work
    WHERE id = w.id OR (w.method ~ '^(delete|remove)' AND backend_id = b AND object_id = w.object_id AND NOT hidden);
    settled := settled + 1;
  END LOOP;
  RETURN settled;
END $$;
`;
