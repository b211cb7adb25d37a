/**
 * What the functions of the world answer: `{value, changed}`, `{pendingMs}` or `{error, message, detail}`. They answer
 * errors instead of raising them, so that what a call consumed (a scripted fault) stays consumed.
 */
export const ANSWERS = `
CREATE OR REPLACE FUNCTION changed(value jsonb DEFAULT 'null') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('value', value, 'changed', true)
$$;

-- It was so already, or was only looked at.
CREATE OR REPLACE FUNCTION unchanged(value jsonb DEFAULT 'null') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('value', value, 'changed', false)
$$;

CREATE OR REPLACE FUNCTION failure(code text, message text, detail text DEFAULT NULL) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('error', code, 'message', message, 'detail', detail)
$$;

CREATE OR REPLACE FUNCTION unknown(noun text, id text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT failure('NOT_FOUND', format('The backend has no %s "%s".', noun, id))
$$;

CREATE OR REPLACE FUNCTION conflicting(noun text, id text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT failure('BACKEND_FAILED', format('The backend has a %s "%s" already, with another specification.', noun, id))
$$;

CREATE OR REPLACE FUNCTION away(host_name text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT failure('UNAVAILABLE', 'The host of this resource does not answer.', host_name)
$$;

-- True when a host of that name exists and cannot be reached; an empty name stands for no host.
CREATE OR REPLACE FUNCTION is_away(b text, name text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM host h WHERE h.backend_id = b AND h.name = is_away.name AND h.state <> 'ALIVE')
$$;

-- A number from 0 to 1 that depends on the text alone.
CREATE OR REPLACE FUNCTION fraction(seed text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(seed), 1, 8))::bit(32)::bigint / 4294967296.0
$$;

CREATE OR REPLACE FUNCTION text_array(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_agg(item ORDER BY place), '{}')
  FROM jsonb_array_elements_text(list) WITH ORDINALITY AS items (item, place)
$$;

CREATE OR REPLACE FUNCTION tell(b text, event_kind text, object text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE told bigint;
BEGIN
  INSERT INTO event (backend_id, kind, object_id) VALUES (b, event_kind, object) RETURNING id INTO told;
  -- Now and then the inserts themselves keep the table short.
  IF told % 1024 = 0 THEN DELETE FROM event WHERE id < told - 20000; END IF;
END $$;
`;
