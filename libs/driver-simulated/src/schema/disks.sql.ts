/** What a simulated backend does with disks and snapshots. `b` is the backend, `i` the disk's id, `a` the call's arguments. */
export const DISKS = `
CREATE OR REPLACE FUNCTION disk_observed(d disk) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('diskId', d.id, 'installationId', d.installation_id, 'poolName', d.pool_name,
    'hostName', nullif(d.host_name, ''), 'sizeGib', d.size_gib, 'iopsLimit', d.iops_limit, 'attachedTo', d.attached_to)
$$;

-- Makes an empty disk, a copy of an image, or with sourceDiskId a copy of a disk.
CREATE OR REPLACE FUNCTION disk_create(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  d disk;
  p pool;
  source disk;
  size int := a ->> 'sizeGib';
  pool_name text := a ->> 'poolName';
  on_host text := coalesce(a ->> 'hostName', '');
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF FOUND THEN
    IF d.specification_hash <> a ->> 'hash' THEN RETURN conflicting('disk', i); END IF;
    RETURN unchanged(disk_observed(d));
  END IF;
  IF a ->> 'sourceDiskId' IS NOT NULL THEN
    SELECT * INTO source FROM disk WHERE backend_id = b AND id = a ->> 'sourceDiskId';
    IF NOT FOUND THEN RETURN unknown('disk', a ->> 'sourceDiskId'); END IF;
    IF is_away(b, source.host_name) THEN RETURN away(source.host_name); END IF;
    IF source.size_gib > size THEN
      RETURN failure('BACKEND_FAILED', format('A copy of the disk "%s" needs at least %s GiB.', source.id, source.size_gib));
    END IF;
  END IF;
  -- The shared pool of that name, else the host's own.
  SELECT * INTO p FROM pool WHERE backend_id = b AND name = pool_name AND host_name IN ('', on_host)
  ORDER BY host_name LIMIT 1 FOR UPDATE;
  IF NOT FOUND THEN
    RETURN failure('NOT_FOUND', format('The backend has no pool "%s" that the disk''s host can reach.', pool_name), on_host);
  END IF;
  IF is_away(b, p.host_name) THEN RETURN away(p.host_name); END IF;
  IF p.used_gib + size > p.capacity_gib THEN
    RETURN failure('BACKEND_FAILED', format('The pool "%s" has %s GiB free; %s are needed.',
      pool_name, p.capacity_gib - p.used_gib, size), p.host_name);
  END IF;
  INSERT INTO disk (backend_id, id, installation_id, tenant_id, project_id, pool_name, host_name, size_gib, iops_limit,
    image_reference, source_disk_id, specification_hash)
  VALUES (b, i, a ->> 'installationId', a ->> 'tenantId', a ->> 'projectId', pool_name, p.host_name, size,
    (a ->> 'iopsLimit')::int, a ->> 'imageReference', a ->> 'sourceDiskId', a ->> 'hash')
  RETURNING * INTO d;
  UPDATE pool SET used_gib = used_gib + size WHERE backend_id = b AND name = p.name AND host_name = p.host_name;
  RETURN changed(disk_observed(d));
END $$;

CREATE OR REPLACE FUNCTION disk_resize(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d disk; size int := a ->> 'sizeGib';
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('disk', i); END IF;
  IF is_away(b, d.host_name) THEN RETURN away(d.host_name); END IF;
  IF size = d.size_gib THEN RETURN unchanged(); END IF;
  IF size < d.size_gib THEN
    RETURN failure('INVALID_STATE', format('The disk "%s" has %s GiB and only grows.', i, d.size_gib));
  END IF;
  UPDATE pool SET used_gib = used_gib + size - d.size_gib
  WHERE backend_id = b AND name = d.pool_name AND host_name = d.host_name AND used_gib + size - d.size_gib <= capacity_gib;
  IF NOT FOUND THEN
    RETURN failure('BACKEND_FAILED', format('The pool "%s" has no room for a larger disk.', d.pool_name), d.host_name);
  END IF;
  UPDATE disk SET size_gib = size WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION disk_limit(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d disk; wanted int := a ->> 'iopsLimit';
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('disk', i); END IF;
  IF is_away(b, d.host_name) THEN RETURN away(d.host_name); END IF;
  IF wanted IS NOT DISTINCT FROM d.iops_limit THEN RETURN unchanged(); END IF;
  UPDATE disk SET iops_limit = wanted WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

-- Its snapshots go with it.
CREATE OR REPLACE FUNCTION disk_delete(b text, i text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d disk;
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unchanged(); END IF;
  IF d.attached_to IS NOT NULL THEN
    RETURN failure('INVALID_STATE', format('The disk "%s" is attached to a machine.', i), d.attached_to);
  END IF;
  IF is_away(b, d.host_name) THEN RETURN away(d.host_name); END IF;
  DELETE FROM disk WHERE backend_id = b AND id = i;
  DELETE FROM snapshot WHERE backend_id = b AND disk_id = i;
  UPDATE pool SET used_gib = used_gib - d.size_gib
  WHERE backend_id = b AND name = d.pool_name AND host_name = d.host_name;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION snapshot_create(b text, i text, snapshot_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d disk; s snapshot;
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT FOUND THEN RETURN unknown('disk', i); END IF;
  IF is_away(b, d.host_name) THEN RETURN away(d.host_name); END IF;
  SELECT * INTO s FROM snapshot WHERE backend_id = b AND id = snapshot_id;
  IF FOUND THEN
    IF s.disk_id <> i THEN RETURN conflicting('snapshot', snapshot_id); END IF;
    RETURN unchanged();
  END IF;
  INSERT INTO snapshot (backend_id, id, disk_id) VALUES (b, snapshot_id, i);
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION snapshot_delete(b text, i text, snapshot_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d disk;
BEGIN
  SELECT * INTO d FROM disk WHERE backend_id = b AND id = i FOR UPDATE;
  IF NOT EXISTS (SELECT FROM snapshot WHERE backend_id = b AND id = snapshot_id AND disk_id = i) THEN RETURN unchanged(); END IF;
  IF is_away(b, d.host_name) THEN RETURN away(d.host_name); END IF;
  DELETE FROM snapshot WHERE backend_id = b AND id = snapshot_id;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION disk_get(b text, i text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT unchanged(coalesce((SELECT disk_observed(d) FROM disk d WHERE backend_id = b AND id = i), 'null'))
$$;

CREATE OR REPLACE FUNCTION disk_list(b text, after text, most int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(disk_observed(d) ORDER BY d.id), '[]')
  FROM (SELECT * FROM disk WHERE backend_id = b AND id > coalesce(after, '') ORDER BY id LIMIT most) d
$$;

CREATE OR REPLACE FUNCTION disk_health(b text, ids text[]) RETURNS jsonb LANGUAGE sql AS $$
  SELECT unchanged(coalesce(jsonb_object_agg(u.id,
    CASE WHEN d.id IS NULL THEN 'UNKNOWN' WHEN is_away(b, d.host_name) THEN 'UNAVAILABLE' ELSE p.health END), '{}'))
  FROM unnest(ids) u (id)
  LEFT JOIN disk d ON d.backend_id = b AND d.id = u.id
  LEFT JOIN pool p ON p.backend_id = b AND p.name = d.pool_name AND p.host_name = d.host_name
$$;
`;
