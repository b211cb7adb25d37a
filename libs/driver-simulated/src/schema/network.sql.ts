/** What a simulated backend does with networks and all that is in and between them; realised at once on every live host. */
export const NETWORK = `
CREATE OR REPLACE FUNCTION part_ensure(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE p network_part; new_revision bigint := a ->> 'revision'; network text := a ->> 'networkId';
  needed text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(a -> 'buildsOn', '[]'))); missing text;
BEGIN
  SELECT * INTO p FROM network_part WHERE backend_id = b AND id = i FOR UPDATE;
  IF FOUND THEN
    IF p.kind <> a ->> 'kind' OR p.installation_id <> a ->> 'installationId' THEN RETURN conflicting('part', i); END IF;
    -- A request that was overtaken by a newer one changes nothing.
    IF p.revision > new_revision OR (p.revision = new_revision AND p.specification = a -> 'specification' AND NOT p.damaged) THEN
      RETURN unchanged();
    END IF;
  END IF;
  IF network IS NOT NULL THEN
    PERFORM FROM network_part WHERE backend_id = b AND id = network AND kind = 'NETWORK' FOR KEY SHARE;
    IF NOT FOUND THEN RETURN unknown('network', network); END IF;
  END IF;
  PERFORM FROM network_part WHERE backend_id = b AND id = ANY (needed) ORDER BY id FOR KEY SHARE;
  SELECT n INTO missing FROM unnest(needed) n WHERE NOT EXISTS (SELECT FROM network_part WHERE backend_id = b AND id = n) LIMIT 1;
  IF missing IS NOT NULL THEN RETURN unknown('part', missing); END IF;
  SELECT g.id INTO missing FROM jsonb_array_elements_text(a -> 'specification' -> 'securityGroupIds') AS g (id)
  WHERE NOT EXISTS (SELECT FROM network_part AS n WHERE n.backend_id = b AND n.id = g.id AND n.kind = 'SECURITY_GROUP' FOR KEY SHARE)
  ORDER BY g.id LIMIT 1;
  IF FOUND THEN RETURN unknown('security group', missing); END IF;
  INSERT INTO network_part (backend_id, id, kind, installation_id, tenant_id, project_id, revision, network_id, host_name,
    specification, builds_on)
  VALUES (b, i, a ->> 'kind', a ->> 'installationId', a ->> 'tenantId', a ->> 'projectId', new_revision, network,
    a ->> 'hostName', a -> 'specification', needed)
  ON CONFLICT (backend_id, id) DO UPDATE
  SET revision = excluded.revision, network_id = excluded.network_id, host_name = excluded.host_name,
    specification = excluded.specification, builds_on = excluded.builds_on, damaged = false;
  RETURN changed();
END $$;

-- It lets go of nothing that floating addresses need, and no network is on two.
CREATE OR REPLACE FUNCTION router_ensure(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE held text; known bigint;
BEGIN
  SELECT revision INTO known FROM network_part WHERE backend_id = b AND id = i FOR UPDATE;
  IF known > (a ->> 'revision')::bigint THEN RETURN unchanged(); END IF;
  SELECT f.id INTO held FROM network_part f
  WHERE f.backend_id = b AND f.kind = 'FLOATING_IP' AND f.builds_on @> ARRAY[i]
    AND ((a #> '{specification,uplink}') = 'null' OR NOT a -> 'buildsOn' ? (f.specification ->> 'networkId')
      OR f.specification #>> '{transit,providerRouterId}' IS DISTINCT FROM a #>> '{specification,uplink,providerRouterId}') LIMIT 1;
  IF FOUND THEN RETURN failure('INVALID_STATE', format('The floating address "%s" still needs the router.', held)); END IF;
  SELECT n INTO held FROM jsonb_array_elements_text(a -> 'buildsOn') n
  WHERE EXISTS (SELECT FROM network_part r WHERE r.backend_id = b AND r.kind = 'ROUTER' AND r.id <> i AND r.builds_on @> ARRAY[n]
    AND EXISTS (SELECT FROM network_part p WHERE p.backend_id = b AND p.id = n AND p.kind = 'NETWORK')) LIMIT 1;
  IF FOUND THEN RETURN failure('INVALID_STATE', format('The network "%s" is on another router.', held)); END IF;
  RETURN part_ensure(b, i, a);
END $$;

CREATE OR REPLACE FUNCTION floating_ip_ensure(b text, i text, a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM network_part r WHERE r.backend_id = b AND r.id = a #>> '{specification,routerId}' AND r.kind = 'ROUTER' FOR KEY SHARE;
  IF FOUND AND NOT EXISTS (SELECT FROM network_part r WHERE r.backend_id = b AND r.id = a #>> '{specification,routerId}'
    AND r.specification -> 'uplink' <> 'null' AND r.builds_on @> ARRAY[a #>> '{specification,networkId}']
    AND r.specification #>> '{uplink,providerRouterId}' IS NOT DISTINCT FROM a #>> '{specification,transit,providerRouterId}') THEN
    RETURN failure('INVALID_STATE', 'The router has no such uplink, or the network is not on it.');
  END IF;
  RETURN part_ensure(b, i, a);
END $$;

CREATE OR REPLACE FUNCTION part_remove(b text, i text, part_kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM network_part WHERE backend_id = b AND id = i AND kind = part_kind FOR UPDATE;
  IF NOT FOUND THEN RETURN unchanged(); END IF;
  IF part_kind = 'NETWORK' AND EXISTS (SELECT FROM network_part WHERE backend_id = b AND network_id = i) THEN
    RETURN failure('INVALID_STATE', format('The network "%s" still has ports or load balancers.', i));
  END IF;
  IF part_kind IN ('NETWORK', 'EXTERNAL_NETWORK', 'PROVIDER_ROUTER', 'ROUTER')
    AND EXISTS (SELECT FROM network_part WHERE backend_id = b AND builds_on @> ARRAY[i]) THEN
    RETURN failure('INVALID_STATE', format('Routers or floating addresses still need "%s".', i));
  END IF;
  IF part_kind = 'SECURITY_GROUP' AND EXISTS (
    SELECT FROM network_part WHERE backend_id = b AND kind = 'PORT' AND specification -> 'securityGroupIds' ? i
  ) THEN
    RETURN failure('INVALID_STATE', format('The security group "%s" still has ports.', i));
  END IF;
  -- Floating addresses go with what they lead to.
  DELETE FROM network_part WHERE backend_id = b AND kind = 'FLOATING_IP' AND builds_on @> ARRAY[i];
  DELETE FROM network_part WHERE backend_id = b AND id = i;
  RETURN changed();
END $$;

-- A network reaches the hosts of its ports, a router those of its networks' and its gateways, which are the provider's
-- router's where it leads to one, a security group those of its project's, a firewall those of all.
CREATE OR REPLACE FUNCTION network_realised(b text, i text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE part network_part;
BEGIN
  SELECT * INTO part FROM network_part WHERE backend_id = b AND id = i AND kind IN ('NETWORK', 'ROUTER', 'PROVIDER_ROUTER', 'SECURITY_GROUP', 'FIREWALL');
  IF NOT FOUND THEN RETURN unknown('network', i); END IF;
  RETURN unchanged((
    SELECT jsonb_build_object('pendingHostNames', coalesce(jsonb_agg(h.name ORDER BY h.name), '[]'))
    FROM host h
    WHERE h.backend_id = b AND h.state <> 'ALIVE'
      AND (EXISTS (SELECT FROM network_part p
        WHERE p.backend_id = b AND p.kind = 'PORT' AND p.host_name = h.name AND p.installation_id = part.installation_id
          AND (part.kind = 'FIREWALL' OR p.network_id = i OR (part.kind = 'ROUTER' AND p.network_id = ANY (part.builds_on))
            OR (part.kind = 'SECURITY_GROUP' AND p.project_id = part.project_id)))
        OR part.specification #> '{uplink,gatewayHostNames}' ? h.name
        OR EXISTS (SELECT FROM network_part t
          WHERE t.backend_id = b AND t.kind = 'PROVIDER_ROUTER' AND t.id IN (i, part.specification #>> '{uplink,providerRouterId}')
            AND t.specification -> 'gatewayHostNames' ? h.name))));
END $$;

CREATE OR REPLACE FUNCTION physical_network_hosts(b text, a jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT unchanged(jsonb_build_object(
    'connected', coalesce(jsonb_agg(h.name ORDER BY h.name) FILTER (WHERE NOT a ->> 'physicalNetwork' = ANY (h.unconnected)), '[]'),
    'unconnected', coalesce(jsonb_agg(h.name ORDER BY h.name) FILTER (WHERE a ->> 'physicalNetwork' = ANY (h.unconnected)), '[]'),
    -- A simulated host reaches whatever is not taken from it.
    'physicalNetworks', '[]'::jsonb))
  FROM host h WHERE h.backend_id = b AND h.name = ANY (text_array(a -> 'hostNames'))
$$;

CREATE OR REPLACE FUNCTION part_list(b text, after text, most int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('kind', p.kind, 'id', p.id, 'installationId', p.installation_id,
    'revision', p.revision, 'isIntact', NOT p.damaged) ORDER BY p.id), '[]')
  FROM (SELECT * FROM network_part WHERE backend_id = b AND id > coalesce(after, '') ORDER BY id LIMIT most) p
$$;
`;
