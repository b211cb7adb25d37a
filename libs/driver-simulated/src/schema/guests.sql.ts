/**
 * What goes on inside simulated machines: scripts are not executed but answered from registered responses, and what they
 * are to tell beside that is made up.
 */
export const GUESTS = `
-- Starts the run under its id, at most once; a run that exists is answered from what it left.
CREATE OR REPLACE FUNCTION guest_execute(b text, guest text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  m machine;
  r guest_run;
  response guest_response;
  run text := a ->> 'runId';
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = guest;
  IF NOT FOUND THEN RETURN unknown('machine', guest); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  IF m.power <> 'RUNNING' THEN
    RETURN failure('INVALID_STATE', format('The machine "%s" is %s: nothing can be run in it.', guest, m.power));
  END IF;
  SELECT * INTO r FROM guest_run WHERE backend_id = b AND run_id = run;
  IF FOUND THEN
    IF r.machine_id <> guest OR r.script <> a ->> 'script' THEN RETURN conflicting('guest run', run); END IF;
    RETURN unchanged(guest_result(r));
  END IF;
  SELECT * INTO response FROM guest_response g
  WHERE g.backend_id = b AND (g.machine_id IS NULL OR g.machine_id = guest) AND a ->> 'script' ~ g.pattern
  ORDER BY g.id DESC LIMIT 1;
  INSERT INTO guest_run (backend_id, run_id, machine_id, script, exit_code, standard_output, standard_error)
  VALUES (b, run, guest, a ->> 'script', coalesce(response.exit_code, 0),
    coalesce(guest_text(response.standard_output, m, run), guest_answers(a -> 'answers')), coalesce(guest_text(response.standard_error, m, run), ''))
  RETURNING * INTO r;
  RETURN changed(guest_result(r));
END $$;

-- A line for each name, with a value that nobody else has.
CREATE OR REPLACE FUNCTION guest_answers(names jsonb) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(string_agg(format(E'%s=%s\\n', name, gen_random_uuid()), '' ORDER BY place), '')
  FROM jsonb_array_elements_text(names) WITH ORDINALITY AS each (name, place)
$$;

CREATE OR REPLACE FUNCTION guest_result(r guest_run) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('exitCode', r.exit_code, 'standardOutput', r.standard_output, 'standardError', r.standard_error)
$$;

-- Fills in who speaks.
CREATE OR REPLACE FUNCTION guest_text(template text, m machine, run text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT replace(replace(replace(replace(template, '{{machineId}}', m.id), '{{hostname}}', m.hostname),
    '{{ipAddress}}', coalesce(m.ip_address, '')), '{{runId}}', run)
$$;

CREATE OR REPLACE FUNCTION console_read(b text, i text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE m machine; boot text := '';
BEGIN
  SELECT * INTO m FROM machine WHERE backend_id = b AND id = i;
  IF NOT FOUND THEN RETURN unknown('machine', i); END IF;
  IF is_away(b, m.host_name) THEN RETURN away(m.host_name); END IF;
  FOR number IN greatest(1, m.boot_count - 9) .. m.boot_count LOOP
    boot := boot || format(E'[simulated] boot %s of %s from %s\\n', number, m.hostname, m.image_reference);
  END LOOP;
  IF m.power = 'RUNNING' THEN boot := boot || format(E'%s login:\\n', m.hostname); END IF;
  RETURN unchanged(to_jsonb(boot));
END $$;
`;
