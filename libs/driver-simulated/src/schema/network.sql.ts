/** What a simulated backend does with the parts of networks; realised at once on every live host. */
export const NETWORK = `
CREATE OR REPLACE FUNCTION part_ensure(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE p network_part; new_revision bigint := a ->> 'revision'; network text := a ->> 'networkId'; missing text;
BEGIN
  SELECT * INTO p FROM network_part WHERE backend_id = b AND id = i FOR UPDATE;
  IF FOUND THEN
    IF p.kind <> a ->> 'kind' OR p.installation_id <> a ->> 'installationId' THEN RETURN conflicting('part', i); END IF;
    -- A request that was overtaken by a newer one changes nothing.
    IF p.revision > new_revision OR (p.revision = new_revision AND p.specification = a -> 'specification') THEN
      RETURN unchanged();
    END IF;
  END IF;
  IF network IS NOT NULL THEN
    PERFORM FROM network_part WHERE backend_id = b AND id = network AND kind = 'NETWORK' FOR KEY SHARE;
    IF NOT FOUND THEN RETURN unknown('network', network); END IF;
  END IF;
  SELECT g.id INTO missing FROM jsonb_array_elements_text(a -> 'specification' -> 'securityGroupIds') AS g (id)
  WHERE NOT EXISTS (SELECT FROM network_part AS n WHERE n.backend_id = b AND n.id = g.id AND n.kind = 'SECURITY_GROUP' FOR KEY SHARE)
  ORDER BY g.id LIMIT 1;
  IF FOUND THEN RETURN unknown('security group', missing); END IF;
  INSERT INTO network_part (backend_id, id, kind, installation_id, tenant_id, project_id, revision, network_id, host_name,
    specification)
  VALUES (b, i, a ->> 'kind', a ->> 'installationId', a ->> 'tenantId', a ->> 'projectId', new_revision, network,
    a ->> 'hostName', a -> 'specification')
  ON CONFLICT (backend_id, id) DO UPDATE
  SET revision = excluded.revision, network_id = excluded.network_id, host_name = excluded.host_name,
    specification = excluded.specification;
  RETURN changed();
END $$;

CREATE OR REPLACE FUNCTION part_remove(b text, i text, part_kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM network_part WHERE backend_id = b AND id = i AND kind = part_kind FOR UPDATE;
  IF NOT FOUND THEN RETURN unchanged(); END IF;
  IF part_kind = 'NETWORK' AND EXISTS (SELECT FROM network_part WHERE backend_id = b AND network_id = i) THEN
    RETURN failure('INVALID_STATE', format('The network "%s" still has ports or load balancers.', i));
  END IF;
  IF part_kind = 'SECURITY_GROUP' AND EXISTS (
    SELECT FROM network_part WHERE backend_id = b AND kind = 'PORT' AND specification -> 'securityGroupIds' ? i
  ) THEN
    RETURN failure('INVALID_STATE', format('The security group "%s" still has ports.', i));
  END IF;
  DELETE FROM network_part WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

-- A network reaches the hosts of its ports, a security group those of its project's, a firewall those of all.
CREATE OR REPLACE FUNCTION network_realised(b text, i text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE part network_part;
BEGIN
  SELECT * INTO part FROM network_part WHERE backend_id = b AND id = i AND kind IN ('NETWORK', 'SECURITY_GROUP', 'FIREWALL');
  IF NOT FOUND THEN RETURN unknown('network', i); END IF;
  RETURN unchanged((
    SELECT jsonb_build_object('pendingHostNames', coalesce(jsonb_agg(h.name ORDER BY h.name), '[]'))
    FROM host h
    WHERE h.backend_id = b AND h.state <> 'ALIVE'
      AND EXISTS (SELECT FROM network_part p
        WHERE p.backend_id = b AND p.kind = 'PORT' AND p.host_name = h.name AND p.installation_id = part.installation_id
          AND (part.kind = 'FIREWALL' OR p.network_id = i OR (part.kind = 'SECURITY_GROUP' AND p.project_id = part.project_id)))));
END $$;

CREATE OR REPLACE FUNCTION part_list(b text, after text, most int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('kind', p.kind, 'id', p.id, 'installationId', p.installation_id,
    'revision', p.revision) ORDER BY p.id), '[]')
  FROM (SELECT * FROM network_part WHERE backend_id = b AND id > coalesce(after, '') ORDER BY id LIMIT most) p
$$;
`;
