-- Every statement that Muon prepares, by name. Written by `npm run generate`.

-- address.by_owner
SELECT subnet_id, host(address) AS address, owner_id FROM address_allocation WHERE owner_id = ANY($1) ORDER BY owner_id, address;

-- address.claim
INSERT INTO address_allocation (subnet_id, address, owner_id, tenant_id, project_id)
SELECT c."subnetId", c.address::inet, c."ownerId", c."tenantId", c."projectId"
FROM jsonb_to_recordset($1::jsonb) AS c ("subnetId" text, address text, "ownerId" text, "tenantId" text, "projectId" text)
ORDER BY c."subnetId", c.address::inet
ON CONFLICT (subnet_id, address) DO NOTHING
RETURNING subnet_id, host(address) AS address, owner_id;

-- address.count_in_scope
SELECT count(*) AS count FROM address_allocation WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id <> subnet_id;

-- address.count_used
SELECT subnet_id, count(*) AS used FROM address_allocation WHERE subnet_id = ANY($1) AND owner_id <> subnet_id GROUP BY subnet_id;

-- address.find_free
WITH 
wanted AS (
SELECT w.subnet_id, w.amount FROM unnest($1::text[], $2::int[]) AS w (subnet_id, amount)
), taken AS (
SELECT t.subnet_id, t.address FROM unnest($3::text[], $4::inet[]) AS t (subnet_id, address)
), pool AS (
SELECT w.subnet_id, w.amount, s.gateway, p.first, p.size,
(sum(p.size) OVER (PARTITION BY s.id ORDER BY p.first) - p.size)::bigint AS before,
(sum(p.size) OVER (PARTITION BY s.id))::bigint AS total
FROM wanted AS w
JOIN subnet AS s ON s.id = w.subnet_id
CROSS JOIN LATERAL (
SELECT (r ->> 'first')::inet AS first, (r ->> 'last')::inet - (r ->> 'first')::inet + 1 AS size
FROM jsonb_array_elements(s.pools) AS r
) AS p
), every AS (
SELECT pool.subnet_id, pool.amount, pool.gateway, pool.first + n AS address
FROM pool CROSS JOIN LATERAL generate_series(0, pool.size - 1) AS n
)
SELECT subnet_id, host(address) AS address FROM (
SELECT every.*, row_number() OVER (PARTITION BY every.subnet_id ORDER BY random()) AS place
FROM every WHERE every.address <> every.gateway
AND NOT EXISTS (SELECT FROM address_allocation AS a WHERE a.subnet_id = every.subnet_id AND a.address = every.address)
AND NOT EXISTS (SELECT FROM taken AS t WHERE t.subnet_id = every.subnet_id AND t.address = every.address)
) AS free
WHERE free.place <= free.amount;

-- address.list_in_scope
SELECT owner_id AS id, host(address) AS name FROM address_allocation WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id <> subnet_id
ORDER BY owner_id, address LIMIT $3::int;

-- address.probe_free
WITH 
wanted AS (
SELECT w.subnet_id, w.amount FROM unnest($1::text[], $2::int[]) AS w (subnet_id, amount)
), taken AS (
SELECT t.subnet_id, t.address FROM unnest($3::text[], $4::inet[]) AS t (subnet_id, address)
), pool AS (
SELECT w.subnet_id, w.amount, s.gateway, p.first, p.size,
(sum(p.size) OVER (PARTITION BY s.id ORDER BY p.first) - p.size)::bigint AS before,
(sum(p.size) OVER (PARTITION BY s.id))::bigint AS total
FROM wanted AS w
JOIN subnet AS s ON s.id = w.subnet_id
CROSS JOIN LATERAL (
SELECT (r ->> 'first')::inet AS first, (r ->> 'last')::inet - (r ->> 'first')::inet + 1 AS size
FROM jsonb_array_elements(s.pools) AS r
) AS p
), probe AS (
SELECT DISTINCT pool.subnet_id, pool.amount, pool.gateway, pool.first + (draw.place - pool.before) AS address
FROM (SELECT DISTINCT subnet_id, amount, total FROM pool) AS s
CROSS JOIN LATERAL (
SELECT floor(random() * s.total)::bigint AS place FROM generate_series(1, s.amount * 2 + 16)
) AS draw
JOIN pool ON pool.subnet_id = s.subnet_id AND draw.place >= pool.before AND draw.place < pool.before + pool.size
)
SELECT subnet_id, host(address) AS address FROM (
SELECT probe.*, row_number() OVER (PARTITION BY probe.subnet_id ORDER BY random()) AS place
FROM probe WHERE probe.address <> probe.gateway
AND NOT EXISTS (SELECT FROM address_allocation AS a WHERE a.subnet_id = probe.subnet_id AND a.address = probe.address)
AND NOT EXISTS (SELECT FROM taken AS t WHERE t.subnet_id = probe.subnet_id AND t.address = probe.address)
) AS free
WHERE free.place <= free.amount;

-- address.release
DELETE FROM address_allocation WHERE owner_id = ANY($1);

-- affinity_group.broken
WITH joining AS (
SELECT "groupId" AS group_id, "resourceId" AS id, "replacesId" AS replaces_id, "hostId" AS host_id, "rackId" AS rack_id, "zoneId" AS zone_id, most
FROM jsonb_to_recordset($1::jsonb) AS j("groupId" text, "resourceId" text, "hostId" text, "rackId" text, "zoneId" text, "replacesId" text, most int)
), member AS (
SELECT group_id, id, host_id, rack_id, zone_id FROM joining
UNION ALL
SELECT v.affinity_group_id, v.id, h.id, h.rack_id, h.zone_id
FROM virtual_machine AS v JOIN host_claim AS c ON c.resource_id = v.id JOIN host AS h ON h.id = c.host_id
WHERE v.affinity_group_id IN (SELECT group_id FROM joining) AND v.lifecycle <> 'FAILED'
AND NOT EXISTS (SELECT FROM joining AS j WHERE v.id IN (j.id, j.replaces_id))
)
SELECT DISTINCT g.id, g.name FROM affinity_group AS g JOIN joining AS j ON j.group_id = g.id
CROSS JOIN LATERAL (
SELECT count(DISTINCT m.id) FILTER (WHERE CASE g.scope WHEN 'HOST' THEN j.host_id WHEN 'RACK' THEN coalesce(j.rack_id, j.zone_id) ELSE j.zone_id END = CASE g.scope WHEN 'HOST' THEN m.host_id WHEN 'RACK' THEN coalesce(m.rack_id, m.zone_id) ELSE m.zone_id END) AS there, count(*) FILTER (WHERE CASE g.scope WHEN 'HOST' THEN j.host_id WHEN 'RACK' THEN coalesce(j.rack_id, j.zone_id) ELSE j.zone_id END <> CASE g.scope WHEN 'HOST' THEN m.host_id WHEN 'RACK' THEN coalesce(m.rack_id, m.zone_id) ELSE m.zone_id END) AS elsewhere
FROM member AS m WHERE m.group_id = g.id AND m.id <> j.id
) AS others
WHERE g.strength = 'REQUIRE' AND CASE g.policy WHEN 'ANTI_AFFINITY' THEN others.there >= coalesce(j.most, 1) ELSE others.elsewhere > 0 END;

-- affinity_group.count_in_scope
SELECT count(*) AS count FROM affinity_group WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- affinity_group.deletable_in_scope
SELECT id, version, name FROM affinity_group AS g WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL
AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.affinity_group_id = g.id) ORDER BY id LIMIT $3::int;

-- affinity_group.find
SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group WHERE id = ANY($1);

-- affinity_group.find_by_reference
SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group WHERE project_id = $1 AND (id = ANY($2) OR name = ANY($2));

-- affinity_group.hosts
SELECT m.affinity_group_id, m.id AS machine_id, c.host_id FROM virtual_machine AS m JOIN host_claim AS c ON c.resource_id = m.id
WHERE m.affinity_group_id = ANY($1) AND m.lifecycle <> 'FAILED';

-- affinity_group.in_use
SELECT count(*) AS machines FROM virtual_machine WHERE affinity_group_id = $1;

-- affinity_group.list.NAME#0506dd92
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- affinity_group.list.NAME#20f5ab67
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- affinity_group.list.NAME#6668b328
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- affinity_group.list.NAME#f8eb0c84
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- affinity_group.list.count#543ccdfd
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at FROM affinity_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4)) AS t;

-- affinity_group.list_in_scope
SELECT id, name FROM affinity_group WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- affinity_group.lock
SELECT id FROM affinity_group WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- audit.close
UPDATE audit_entry SET ended_at = now(), operation_state = $2, operation_error_code = $3
WHERE operation_id = $1 AND ended_at IS NULL;

-- audit.insert
INSERT INTO audit_entry
(id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input)
SELECT id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input
FROM jsonb_populate_recordset(NULL::audit_entry, $1::jsonb);

-- audit.list.NEWEST#08005022
SELECT t.*, t.at::text AS keyset_key FROM (SELECT a.* FROM audit_entry AS a
WHERE ($1::boolean OR a.tenant_id = ANY($2::text[]) OR a.project_id = ANY($3::text[])) AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
AND ($10::text IS NULL OR a.operation_id = $10)
AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)) AS t 
ORDER BY t.at DESC, t.id DESC LIMIT $13::int;

-- audit.list.NEWEST#20f93233
SELECT t.*, t.at::text AS keyset_key FROM (SELECT a.* FROM audit_entry AS a
WHERE ($1::boolean OR a.tenant_id = ANY($2::text[]) OR a.project_id = ANY($3::text[])) AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
AND ($10::text IS NULL OR a.operation_id = $10)
AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)) AS t 
ORDER BY t.at ASC, t.id ASC LIMIT $13::int;

-- audit.list.NEWEST#84161979
SELECT t.*, t.at::text AS keyset_key FROM (SELECT a.* FROM audit_entry AS a
WHERE ($1::boolean OR a.tenant_id = ANY($2::text[]) OR a.project_id = ANY($3::text[])) AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
AND ($10::text IS NULL OR a.operation_id = $10)
AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)) AS t WHERE (t.at, t.id) > ($13::text::timestamptz, $14::text)
ORDER BY t.at ASC, t.id ASC LIMIT $15::int;

-- audit.list.NEWEST#e18ee3ba
SELECT t.*, t.at::text AS keyset_key FROM (SELECT a.* FROM audit_entry AS a
WHERE ($1::boolean OR a.tenant_id = ANY($2::text[]) OR a.project_id = ANY($3::text[])) AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
AND ($10::text IS NULL OR a.operation_id = $10)
AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)) AS t WHERE (t.at, t.id) < ($13::text::timestamptz, $14::text)
ORDER BY t.at DESC, t.id DESC LIMIT $15::int;

-- audit.list.count#b468225e
SELECT count(*) AS count FROM (SELECT a.* FROM audit_entry AS a
WHERE ($1::boolean OR a.tenant_id = ANY($2::text[]) OR a.project_id = ANY($3::text[])) AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
AND ($10::text IS NULL OR a.operation_id = $10)
AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)) AS t;

-- audit.prune
WITH old AS (
DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE at < $1 ORDER BY at, id LIMIT $2::int) RETURNING 1
)
SELECT count(*) AS removed FROM old;

-- backend.find
SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE id = ANY($1);

-- backend.list.NAME#7d550db8
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) < ($2::text::text, $3::text)
ORDER BY t.name DESC, t.id DESC LIMIT $4::int;

-- backend.list.NAME#90f18c77
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $2::int;

-- backend.list.NAME#d2558283
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) > ($2::text::text, $3::text)
ORDER BY t.name ASC, t.id ASC LIMIT $4::int;

-- backend.list.NAME#faf1ca3b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $2::int;

-- backend.list.count#138c03e9
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
capabilities, health, health_since, health_reason, version, revision, created_at, updated_at FROM backend WHERE ($1::text IS NULL OR name = $1)) AS t;

-- backend.remove_pending
DELETE FROM backend WHERE id = $1 AND state = 'PENDING_DELETE';

-- backend.uses
SELECT * FROM (
SELECT 'hosts' AS users, count(*) AS count FROM host WHERE backend_id = $1
UNION ALL SELECT 'shared datastores', count(*) FROM datastore WHERE backend_id = $1 AND host_id IS NULL
) AS uses WHERE count > 0;

-- budget.lease
INSERT INTO request_budget AS b (subject, window_start, budget, leased, last_lease)
VALUES ($1, to_timestamp(floor(extract(epoch FROM clock_timestamp()) / 60) * 60),
$3::bigint, least($2::bigint, $3::bigint), least($2::bigint, $3::bigint))
ON CONFLICT (subject) DO UPDATE SET
window_start = greatest(b.window_start, excluded.window_start),
budget = excluded.budget,
last_lease = CASE WHEN b.window_start >= excluded.window_start
THEN greatest(0, least(excluded.last_lease, excluded.budget - b.leased)) ELSE excluded.last_lease END,
leased = CASE WHEN b.window_start >= excluded.window_start
THEN greatest(b.leased, least(b.leased + excluded.leased, excluded.budget)) ELSE excluded.leased END
RETURNING last_lease AS granted, leased,
greatest(0, extract(epoch FROM window_start + interval '60 seconds' - clock_timestamp()) * 1000)::int AS left_ms;

-- budget.prune
DELETE FROM request_budget WHERE subject IN (
SELECT subject FROM request_budget WHERE window_start < now() - interval '1 hour' LIMIT $1::int);

-- catch_up.parts_on_host
SELECT id FROM (
SELECT DISTINCT network_id AS id FROM port WHERE host_id = $1 AND backend_id = $2 AND realised_revision > 0 AND network_id > $4
UNION ALL
SELECT id FROM router WHERE backend_id = $2 AND $3 = ANY (gateway_hosts) AND realised_revision > 0 AND id > $4
UNION ALL
SELECT id FROM provider_router WHERE backend_id = $2 AND $3 = ANY (gateway_hosts) AND realised_revision > 0 AND id > $4
) AS part ORDER BY id COLLATE "C" LIMIT $5::int;

-- cluster.count_in_scope
SELECT count(*) AS clusters FROM cluster WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- cluster.failed
UPDATE cluster SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END, failure = $2::jsonb,
conditions = '[]', network_id = CASE WHEN owns_network THEN NULL ELSE network_id END, load_balancer_id = NULL,
control_group_id = NULL, worker_group_id = NULL, pki_secret = NULL, join_secret = NULL
WHERE id = $1;

-- cluster.find
SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster WHERE id = ANY($1);

-- cluster.find_by_name
SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster WHERE project_id = $1 AND name = $2;

-- cluster.find_expired
SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster WHERE expires_at <= now() AND lifecycle <> 'DELETING' ORDER BY expires_at, id LIMIT $1::int;

-- cluster.find_visible
SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.id = ANY($4);

-- cluster.kept
UPDATE cluster SET failure = coalesce($2::jsonb, failure),
lifecycle = CASE WHEN coalesce($2::jsonb, failure) IS NULL THEN 'PRESENT' ELSE 'FAILED' END
WHERE id = $1 AND lifecycle = 'DELETING';

-- cluster.list.CREATED#184b954a
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- cluster.list.CREATED#68b433d4
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- cluster.list.CREATED#bca2d5e7
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- cluster.list.CREATED#d460f437
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- cluster.list.NAME#58de62be
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.name, t.id) < ($9::text::text, $10::text)
ORDER BY t.name DESC, t.id DESC LIMIT $11::int;

-- cluster.list.NAME#67559c33
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- cluster.list.NAME#8408b522
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.name, t.id) > ($9::text::text, $10::text)
ORDER BY t.name ASC, t.id ASC LIMIT $11::int;

-- cluster.list.NAME#92d2a45b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- cluster.list.NEWEST#184b954a
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- cluster.list.NEWEST#68b433d4
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- cluster.list.NEWEST#bca2d5e7
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- cluster.list.NEWEST#d460f437
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- cluster.list.count#9b92299d
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, kind, version_id, control_count, control_flavor_id, control_zone_ids, expires_at,
network_id, owns_network, external_network_id, load_balancer_id, control_group_id, worker_group_id, lifecycle, pki_secret, join_secret, failure,
conditions, version, revision, created_at, updated_at FROM cluster AS c
WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text IS NULL OR kind = $7) AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t;

-- cluster.list_in_scope
SELECT id, name FROM cluster WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- cluster.list_to_delete
SELECT id FROM cluster WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- cluster.made
UPDATE cluster SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'PRESENT' ELSE lifecycle END, conditions = $2::jsonb,
failure = NULL WHERE id = $1;

-- cluster.remove
WITH nodes AS (DELETE FROM cluster_node WHERE cluster_id = $1), pools AS (DELETE FROM node_pool WHERE cluster_id = $1)
DELETE FROM cluster WHERE id = $1;

-- cluster.set_conditions
UPDATE cluster SET conditions = $2::jsonb WHERE id = $1 AND lifecycle = 'PRESENT' AND conditions <> $2::jsonb;

-- cluster.set_join_secret
UPDATE cluster SET join_secret = $2 WHERE id = $1 AND join_secret IS DISTINCT FROM $2;

-- cluster.set_secrets
UPDATE cluster SET pki_secret = $2, join_secret = $3 WHERE id = $1;

-- cluster_node.count_of_pools
SELECT pool_id, count(*) AS total, count(*) FILTER (WHERE phase = 'JOINED' AND health = 'READY') AS ready
FROM cluster_node WHERE pool_id = ANY($1) GROUP BY pool_id;

-- cluster_node.deciding
SELECT n.id, n.name, n.cluster_id, n.machine_id, n.role, n.health, n.health_reason
FROM cluster AS c JOIN cluster_node AS n ON n.cluster_id = c.id
WHERE c.id = ANY($1) AND c.lifecycle = 'PRESENT' AND n.phase = 'JOINED' AND (n.role = 'CONTROL' OR n.health = 'UNKNOWN')
ORDER BY n.cluster_id, n.id;

-- cluster_node.find
SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node WHERE id = ANY($1) ORDER BY id;

-- cluster_node.find_visible
SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND n.id = ANY($4);

-- cluster_node.list.CREATED#14f23238
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t WHERE (t.created_at, t.id) > ($8::text::timestamptz, $9::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- cluster_node.list.CREATED#288b0752
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t WHERE (t.created_at, t.id) < ($8::text::timestamptz, $9::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- cluster_node.list.CREATED#2cf5980a
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- cluster_node.list.CREATED#3a592556
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- cluster_node.list.NAME#1d206765
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t WHERE (t.name, t.id) > ($8::text::text, $9::text)
ORDER BY t.name ASC, t.id ASC LIMIT $10::int;

-- cluster_node.list.NAME#a8f3ce88
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t WHERE (t.name, t.id) < ($8::text::text, $9::text)
ORDER BY t.name DESC, t.id DESC LIMIT $10::int;

-- cluster_node.list.NAME#d78a0e40
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- cluster_node.list.NAME#fc1ea50b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- cluster_node.list.count#d94c3e4c
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR pool_id = $5)
AND ($6::text IS NULL OR role = $6) AND ($7::text IS NULL OR health = $7)) AS t;

-- cluster_node.mark_unseen
WITH marked AS (
UPDATE cluster_node SET health = 'UNKNOWN', health_reason = 'NOT_OBSERVED', health_since = now()
WHERE machine_id = $1 AND phase = 'JOINED' AND health NOT IN ('LOST', 'UNREACHABLE')
)
SELECT cluster_id FROM cluster_node WHERE machine_id = $1;

-- cluster_node.move_phase
UPDATE cluster_node AS n SET phase = $3
FROM (SELECT id FROM cluster_node WHERE machine_id = ANY($1) AND phase = $2 ORDER BY id FOR UPDATE) AS locked
WHERE n.id = locked.id;

-- cluster_node.of_clusters
SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node WHERE cluster_id = ANY($1) ORDER BY cluster_id, id;

-- cluster_node.of_machines
SELECT id, tenant_id, project_id, name, cluster_id, pool_id, machine_id, role, phase, health, health_reason, health_since,
version, revision, created_at, updated_at FROM cluster_node WHERE machine_id = ANY($1) ORDER BY id;

-- cluster_node.remove
DELETE FROM cluster_node WHERE id IN (
SELECT id FROM cluster_node WHERE machine_id = ANY($1) ORDER BY id FOR UPDATE);

-- cluster_node.set_health
UPDATE cluster_node AS n SET health = seen.health, health_reason = seen.reason, health_since = seen.since
FROM (
SELECT n.id, o.health, o.reason, o.since FROM cluster_node AS n
JOIN jsonb_to_recordset($1::jsonb) AS o (id text, health text, reason text, since timestamptz, revision bigint) ON o.id = n.id
WHERE (n.health <> o.health OR n.health_reason <> o.reason) AND n.revision = coalesce(o.revision, n.revision)
ORDER BY n.id FOR UPDATE OF n
) AS seen
WHERE n.id = seen.id;

-- cluster_node.set_phase
UPDATE cluster_node AS n SET phase = $2
FROM (SELECT id FROM cluster_node WHERE machine_id = ANY($1) AND phase <> $2 ORDER BY id FOR UPDATE) AS locked
WHERE n.id = locked.id;

-- cluster_observation.clock
SELECT clock_timestamp() AS now;

-- cluster_observation.find
SELECT cluster_id, suspects, heal_failures, heal_not_before, heal_error FROM cluster_observation WHERE cluster_id = ANY($1);

-- cluster_observation.hasten
UPDATE cluster_observation SET observed_at = '-infinity' WHERE cluster_id = ANY($1);

-- cluster_observation.heal_failed
UPDATE cluster_observation SET heal_failures = heal_failures + 1, heal_error = $2::jsonb,
heal_not_before = clock_timestamp() + $3::int * power(2, least(heal_failures, 10)) * interval '1 millisecond'
WHERE cluster_id = $1;

-- cluster_observation.healed
UPDATE cluster_observation SET heal_failures = 0, heal_not_before = NULL, heal_error = NULL, observed_at = '-infinity'
WHERE cluster_id = $1;

-- cluster_observation.note_refusal
UPDATE cluster_observation SET heal_error = $2::jsonb WHERE cluster_id = $1 AND heal_error IS DISTINCT FROM $2::jsonb;

-- cluster_observation.set_suspects
UPDATE cluster_observation SET suspects = $2::jsonb WHERE cluster_id = $1 AND suspects <> $2::jsonb;

-- cluster_observation.take_turn
UPDATE cluster_observation AS o SET observed_at = clock_timestamp()
FROM (
SELECT o.cluster_id FROM cluster_observation AS o JOIN cluster AS c ON c.id = o.cluster_id
WHERE c.lifecycle = 'PRESENT' AND o.observed_at <= clock_timestamp() - $2::int * interval '1 millisecond' AND o.observed_at < $3
ORDER BY o.observed_at, o.cluster_id LIMIT $1::int FOR UPDATE OF o SKIP LOCKED
) AS due
WHERE o.cluster_id = due.cluster_id
RETURNING o.cluster_id, o.suspects, o.heal_failures, o.heal_not_before, o.heal_error;

-- cluster_version.find
SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE id = ANY($1);

-- cluster_version.find_by_name
SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE name = $1;

-- cluster_version.find_by_reference
SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version
WHERE kind = $1 AND (id = $2 OR name = $2 OR (release = $2 AND state = 'ACTIVE'))
ORDER BY id = $2 DESC, name = $2 DESC, id DESC LIMIT 1;

-- cluster_version.in_use
SELECT count(*) AS clusters FROM (SELECT FROM cluster WHERE version_id = $1 LIMIT 1000) AS used;

-- cluster_version.list.NAME#0bb155c6
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- cluster_version.list.NAME#93d3c654
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- cluster_version.list.NAME#c257a788
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- cluster_version.list.NAME#efc8a9f7
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- cluster_version.list.NEWEST#015ba84f
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $3::int;

-- cluster_version.list.NEWEST#969236dc
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.created_at, t.id) > ($3::text::timestamptz, $4::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $5::int;

-- cluster_version.list.NEWEST#d5bdb5e6
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.created_at, t.id) < ($3::text::timestamptz, $4::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $5::int;

-- cluster_version.list.NEWEST#f5570607
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $3::int;

-- cluster_version.list.count#0971b9f6
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, kind, release, image_id, state, version, revision, created_at, updated_at FROM cluster_version WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)) AS t;

-- cluster_version.remove_unused
DELETE FROM cluster_version WHERE state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM cluster AS c WHERE c.version_id = cluster_version.id) RETURNING id;

-- command.claim_key
INSERT INTO idempotency_key (principal_id, key, input_hash) VALUES ($1, $2, $3)
ON CONFLICT (principal_id, key) DO NOTHING RETURNING key;

-- command.complete_key
UPDATE idempotency_key SET result = $3::jsonb WHERE principal_id = $1 AND key = $2;

-- command.insert_plan
INSERT INTO plan (id, principal_id, command, input, changes, requirements, snapshot, tenant_id, project_id, expires_at)
VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, $7, $8, $9, $10);

-- command.prune
WITH old_keys AS (
DELETE FROM idempotency_key WHERE (principal_id, key) IN (
SELECT principal_id, key FROM idempotency_key WHERE created_at < $1 ORDER BY created_at LIMIT $2::int) RETURNING 1
), old_plans AS (
DELETE FROM plan WHERE id IN (SELECT id FROM plan WHERE expires_at < now() ORDER BY expires_at LIMIT $2::int) RETURNING 1
)
SELECT (SELECT count(*) FROM old_keys) + (SELECT count(*) FROM old_plans) AS removed;

-- command.read_key
SELECT input_hash, result FROM idempotency_key WHERE principal_id = $1 AND key = $2;

-- command.read_plan
SELECT * FROM plan WHERE id = $1 AND principal_id = $2;

-- command.serialise
SELECT pg_advisory_xact_lock(hashtext('muon.planning'));

-- command.take_plan
UPDATE plan SET applied_at = now() WHERE id = $1 AND principal_id = $2 AND applied_at IS NULL AND expires_at > now()
RETURNING *;

-- custom_role.find
SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role WHERE id = ANY($1);

-- custom_role.list.NAME#1fdbbd2d
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR r.tenant_id = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- custom_role.list.NAME#8fd72377
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR r.tenant_id = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- custom_role.list.NAME#b006531c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR r.tenant_id = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- custom_role.list.NAME#b1d242ee
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR r.tenant_id = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- custom_role.list.count#fe2647b8
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, permissions, version, created_at FROM custom_role AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR r.tenant_id = $4)) AS t;

-- database.snapshot
SELECT pg_current_snapshot()::text AS snapshot;

-- database.unique_indexes
SELECT c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate,
(SELECT array_agg(a.attname::text ORDER BY k.position) FROM unnest(i.indkey) WITH ORDINALITY AS k (number, position)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number) AS columns
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND i.indisunique AND NOT i.indisprimary AND i.indexprs IS NULL ORDER BY c.relname;

-- datastore.choose
SELECT c.datastore_id, c.backend_id, c.host_id, coalesce(c.zone_id, h.zone_id) AS zone_id,
c.limit_gib - c.claimed_gib AS free_gib, c.host_id IS NULL AS shared, c.offer
FROM datastore_capacity AS c
LEFT JOIN host_capacity AS h ON h.host_id = c.host_id
WHERE c.state = 'ACTIVE' AND c.limit_gib - c.claimed_gib >= $2
AND CASE WHEN c.host_id IS NOT NULL THEN h.state = 'ACTIVE' AND h.zone_id = ANY($1)
WHEN c.zone_id IS NOT NULL THEN c.zone_id = ANY($1)
ELSE EXISTS (SELECT FROM host_capacity AS o WHERE o.backend_id = c.backend_id AND o.zone_id = ANY($1)) END
AND ($4::text IS NULL OR (c.backend_id = $4 AND (c.host_id IS NULL OR c.host_id = $5))) AND ($6::text IS NULL OR c.kind = $6)
AND ($7::text[] IS NULL OR c.offer = ANY($7))
ORDER BY c.host_id IS NULL DESC, c.limit_gib - c.claimed_gib DESC, c.datastore_id LIMIT $3::int;

-- datastore.find
SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore WHERE id = ANY($1);

-- datastore.largest_room
SELECT count(*) AS datastores, max(c.limit_gib - c.claimed_gib) AS largest_gib
FROM datastore_capacity AS c
LEFT JOIN host_capacity AS h ON h.host_id = c.host_id
WHERE c.state = 'ACTIVE' AND (c.host_id IS NULL OR h.state = 'ACTIVE')
AND (coalesce(c.zone_id, h.zone_id) IS NULL OR coalesce(c.zone_id, h.zone_id) = ANY($1))
AND ($2::text IS NULL OR (c.backend_id = $2 AND (c.host_id IS NULL OR c.host_id = $3))) AND ($4::text IS NULL OR c.kind = $4)
AND ($5::text[] IS NULL OR c.offer = ANY($5));

-- datastore.list.NAME#090d5d56
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $4::int;

-- datastore.list.NAME#0c25ca6e
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)) AS t WHERE (t.name, t.id) > ($4::text::text, $5::text)
ORDER BY t.name ASC, t.id ASC LIMIT $6::int;

-- datastore.list.NAME#59b35c56
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)) AS t WHERE (t.name, t.id) < ($4::text::text, $5::text)
ORDER BY t.name DESC, t.id DESC LIMIT $6::int;

-- datastore.list.NAME#cf1bf7ca
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $4::int;

-- datastore.list.count#a1e123c4
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)) AS t;

-- datastore.of_host
SELECT id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at FROM datastore WHERE host_id = $1 ORDER BY id;

-- datastore.remove_pending
DELETE FROM datastore WHERE id = $1 AND state = 'PENDING_DELETE';

-- datastore.room
SELECT limit_gib - claimed_gib AS free_gib FROM datastore_capacity WHERE datastore_id = $1;

-- datastore.shared_names
SELECT name FROM datastore WHERE backend_id = $1 AND host_id IS NULL;

-- datastore.uses
SELECT datastore_id, used_gib FROM datastore_heartbeat WHERE datastore_id = ANY($1);

-- datastore_capacity.find
SELECT d.datastore_id, d.limit_gib, d.claimed_gib, count(c.resource_id) AS claims
FROM datastore_capacity AS d LEFT JOIN datastore_claim AS c ON c.datastore_id = d.datastore_id
WHERE d.datastore_id = ANY($1) GROUP BY d.datastore_id;

-- datastore_claim.adjust
UPDATE datastore_capacity AS s SET claimed_gib = s.claimed_gib + d.amounts[1]
FROM jsonb_to_recordset($1::jsonb) AS d (id text, amounts bigint[], newcomers boolean, offer text)
WHERE s.datastore_id = d.id
AND (NOT d.newcomers OR s.state = 'ACTIVE')
AND (d.offer IS NULL OR s.offer = d.offer)
AND (d.amounts[1] <= 0 OR s.claimed_gib + d.amounts[1] <= s.limit_gib)
RETURNING s.datastore_id AS id;

-- datastore_claim.copy
INSERT INTO datastore_claim (resource_id, datastore_id, tenant_id, project_id, gib)
SELECT DISTINCT ON (c.resource_id) c.resource_id, n.holder_id, c.tenant_id, c.project_id, n.amounts[1]
FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
JOIN datastore_claim AS c USING (resource_id);

-- datastore_claim.count
SELECT count(*) AS disks FROM datastore_claim WHERE datastore_id = $1;

-- datastore_claim.count_in_scope
SELECT count(*) AS count FROM datastore_claim WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- datastore_claim.find
SELECT resource_id, datastore_id AS holder_id, ARRAY[gib] AS amounts FROM datastore_claim WHERE resource_id = ANY($1);

-- datastore_claim.insert
INSERT INTO datastore_claim (resource_id, datastore_id, tenant_id, project_id, gib)
SELECT resource_id, holder_id, tenant_id, project_id, amounts[1]
FROM jsonb_to_recordset($1::jsonb) AS c (resource_id text, holder_id text, tenant_id text, project_id text, amounts bigint[]);

-- datastore_claim.list_in_scope
SELECT resource_id AS id, resource_id AS name FROM datastore_claim WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY resource_id LIMIT $3::int;

-- datastore_claim.lock
SELECT datastore_id AS id FROM datastore_capacity WHERE datastore_id = ANY($1) ORDER BY datastore_id FOR NO KEY UPDATE;

-- datastore_claim.remove
DELETE FROM datastore_claim AS c USING jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text)
WHERE c.resource_id = n.resource_id AND c.datastore_id = n.holder_id;

-- datastore_claim.resize
UPDATE datastore_claim AS c SET gib = n.amounts[1]
FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
WHERE c.resource_id = n.resource_id AND c.datastore_id = n.holder_id;

-- disk.backends
SELECT DISTINCT backend_id FROM disk WHERE lifecycle = 'PRESENT' ORDER BY backend_id LIMIT $1::int;

-- disk.count_in_scope
SELECT count(*) AS count FROM disk WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- disk.deletable_in_scope
SELECT id FROM disk WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- disk.failed_limits
SELECT DISTINCT resource_id AS id FROM operation WHERE resource_id = ANY($1) AND kind = $2 AND origin = 'RECONCILER'
AND state = 'FAILED' AND ended_at > $3;

-- disk.find
SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk WHERE id = ANY($1) ORDER BY id;

-- disk.find_by_name
SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk WHERE project_id = $1 AND name = $2 AND image_reference IS NULL;

-- disk.find_visible
SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND d.id = ANY($4);

-- disk.free
UPDATE disk SET owner_id = NULL, position = 0, attachment = NULL, version = version + 1
WHERE id = $1 AND owner_id = $2 AND attachment = $3;

-- disk.free_of_owners
UPDATE disk AS d SET owner_id = NULL, position = 0, attachment = NULL, version = d.version + 1
FROM (SELECT id FROM disk WHERE owner_id = ANY($1) AND attachment IS NOT NULL ORDER BY id FOR UPDATE) AS locked WHERE d.id = locked.id;

-- disk.list.CREATED#519b58a4
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.created_at, t.id) > ($11::text::timestamptz, $12::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $13::int;

-- disk.list.CREATED#a9b5fbde
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- disk.list.CREATED#bf59df66
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- disk.list.CREATED#f66b8964
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.created_at, t.id) < ($11::text::timestamptz, $12::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $13::int;

-- disk.list.NAME#3c21937d
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $11::int;

-- disk.list.NAME#5dc9432b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.name, t.id) > ($11::text::text, $12::text)
ORDER BY t.name ASC, t.id ASC LIMIT $13::int;

-- disk.list.NAME#bb817958
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $11::int;

-- disk.list.NAME#f7a40a7a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.name, t.id) < ($11::text::text, $12::text)
ORDER BY t.name DESC, t.id DESC LIMIT $13::int;

-- disk.list.NEWEST#519b58a4
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.created_at, t.id) > ($11::text::timestamptz, $12::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $13::int;

-- disk.list.NEWEST#a9b5fbde
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- disk.list.NEWEST#bf59df66
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- disk.list.NEWEST#f66b8964
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t WHERE (t.created_at, t.id) < ($11::text::timestamptz, $12::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $13::int;

-- disk.list.count#dcac90fe
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk AS d
WHERE ($1::boolean OR d.tenant_id = ANY($2::text[]) OR d.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8)) AND ($9::text IS NULL OR storage_policy_id = $9)
AND ($10::text IS NULL OR (compliance = $10 AND lifecycle = 'PRESENT'))) AS t;

-- disk.list_in_scope
SELECT id, name FROM disk WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- disk.mark_attached
UPDATE disk SET attachment = 'ATTACHED' WHERE id = $1 AND owner_id = $2 AND attachment IN ('ATTACHING', 'DETACHING');

-- disk.mark_failed
UPDATE disk SET failure = $2::jsonb, realised_gib = 0, realised_iops_limit = NULL, health = 'UNKNOWN', observed_at = now(),
lifecycle = CASE lifecycle WHEN 'DELETING' THEN lifecycle ELSE 'FAILED' END
WHERE id = $1 RETURNING id, backend_id;

-- disk.mark_kept
UPDATE disk SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- disk.mark_limited
UPDATE disk SET realised_iops_limit = $2, observed_at = now() WHERE id = $1;

-- disk.mark_observed
UPDATE disk SET realised_gib = $2, realised_iops_limit = $3, observed_at = now() WHERE id = $1;

-- disk.mark_realised
UPDATE disk AS d SET realised_gib = d.size_gib, realised_iops_limit = d.iops_limit, health = 'HEALTHY', observed_at = now(), failure = NULL,
lifecycle = CASE d.lifecycle WHEN 'CREATING' THEN 'PRESENT' ELSE d.lifecycle END,
compliance = CASE WHEN NOT (d.lifecycle = 'CREATING' AND d.storage_policy_id IS NOT NULL) THEN d.compliance
WHEN jsonb_path_exists(d.compliance_rules, '$[*] ? (@.isKept == false)') THEN 'NONCOMPLIANT' ELSE 'COMPLIANT' END,
compliance_since = CASE WHEN (d.lifecycle = 'CREATING' AND d.storage_policy_id IS NOT NULL) THEN now() ELSE d.compliance_since END
FROM (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE) AS locked
WHERE d.id = locked.id
AND (d.realised_gib <> d.size_gib OR d.realised_iops_limit IS DISTINCT FROM d.iops_limit OR d.lifecycle = 'CREATING');

-- disk.observe_health
UPDATE disk AS d SET health = seen.health, observed_at = now()
FROM jsonb_to_recordset($1::jsonb) AS seen (id text, health text)
WHERE d.id = seen.id AND d.lifecycle = 'PRESENT' AND d.health <> seen.health
RETURNING d.id, d.health;

-- disk.of_owners
SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at FROM disk WHERE owner_id = ANY($1) ORDER BY owner_id, position, id;

-- disk.otherwise_limited
SELECT d.id, p.id AS policy_id, p.iops_limit AS policy_limit
FROM storage_policy AS p JOIN disk AS d ON d.storage_policy_id = p.id AND d.iops_limit IS DISTINCT FROM p.iops_limit
JOIN datastore AS s ON s.id = d.datastore_id AND s.limits_iops
JOIN backend AS b ON b.id = d.backend_id AND b.health = 'UP'
LEFT JOIN host AS h ON h.id = d.host_id
WHERE d.lifecycle = 'PRESENT' AND coalesce(h.health, 'UP') = 'UP'
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id IN (d.id, d.owner_id))
AND NOT EXISTS (SELECT FROM operation AS o WHERE o.resource_id = d.id AND o.kind = $1 AND o.origin = 'RECONCILER'
AND o.state = 'FAILED' AND o.ended_at > $2 AND (o.input->>'toLimit')::int IS NOT DISTINCT FROM p.iops_limit)
ORDER BY d.id LIMIT $3::int;

-- disk.present
SELECT id FROM disk WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND realised_gib > 0 ORDER BY id LIMIT $3::int;

-- disk.record_compliance
UPDATE disk AS d SET compliance = n.state, compliance_rules = n.rules,
compliance_since = CASE WHEN d.compliance IS DISTINCT FROM n.state THEN now() ELSE d.compliance_since END
FROM (SELECT v.* FROM jsonb_to_recordset($1::jsonb) AS v (id text, storage_policy_id text, state text, rules jsonb)
JOIN disk AS locked ON locked.id = v.id ORDER BY v.id FOR NO KEY UPDATE OF locked) AS n
WHERE d.id = n.id AND d.lifecycle = 'PRESENT' AND d.storage_policy_id = n.storage_policy_id
RETURNING d.id, d.compliance;

-- disk.remove_rows
WITH gone AS (
DELETE FROM disk WHERE id IN (SELECT id FROM disk WHERE id = ANY($1) ORDER BY id FOR UPDATE) RETURNING id, backend_id
)
INSERT INTO tombstone (backend_id, object_kind, object_id, reason)
SELECT backend_id, 'disk', id, 'deleted' FROM gone ORDER BY backend_id, id
ON CONFLICT (backend_id, object_kind, object_id) DO UPDATE SET reason = EXCLUDED.reason, settled_at = NULL;

-- disk.resting
SELECT id, tenant_id, project_id, name, size_gib, iops_limit, image_reference, owner_id, position, attachment, datastore_id, backend_id,
zone_id, host_id, storage_policy_id, costs, lifecycle, realised_gib, realised_iops_limit, health, observed_at, compliance, compliance_rules, compliance_since, failure, version, revision, created_at, updated_at, updated_at >= $4 AS has_just_changed FROM disk AS d
WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND realised_gib > 0
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = d.id)
ORDER BY id LIMIT $3::int;

-- disk.restore_limit
UPDATE disk SET iops_limit = $2, version = version + 1 WHERE id = $1 AND iops_limit IS DISTINCT FROM $2;

-- disk.restore_policy
UPDATE disk SET storage_policy_id = (SELECT id FROM storage_policy WHERE id = $2), costs = $3::jsonb, version = version + 1,
compliance = NULL, compliance_rules = NULL, compliance_since = NULL
WHERE id = $1 RETURNING size_gib, costs;

-- disk.restore_size
UPDATE disk SET size_gib = greatest($2::int, realised_gib), version = version + 1 WHERE id = $1 RETURNING size_gib, costs;

-- disk.to_judge
SELECT d.id, d.storage_policy_id, c.offer, d.health, d.compliance, d.compliance_rules,
s.limits_iops AND (d.iops_limit, d.realised_iops_limit) IS DISTINCT FROM (p.iops_limit, p.iops_limit) AS is_being_changed
FROM disk AS d JOIN storage_policy AS p ON p.id = d.storage_policy_id JOIN datastore AS s ON s.id = d.datastore_id
JOIN datastore_capacity AS c ON c.datastore_id = d.datastore_id
WHERE d.id > $1 AND d.lifecycle = 'PRESENT' AND greatest(d.updated_at, p.updated_at, s.updated_at) >= $2
ORDER BY d.id LIMIT $3::int;

-- disk_snapshot.count_in_scope
SELECT count(*) AS count FROM disk_snapshot WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- disk_snapshot.find
SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot WHERE id = ANY($1);

-- disk_snapshot.find_visible
SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND s.id = ANY($4);

-- disk_snapshot.list.CREATED#6cb9c489
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.created_at, t.id) < ($7::text::timestamptz, $8::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- disk_snapshot.list.CREATED#7229a5b1
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.created_at, t.id) > ($7::text::timestamptz, $8::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- disk_snapshot.list.CREATED#8cf716dc
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $7::int;

-- disk_snapshot.list.CREATED#ff37cf7c
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $7::int;

-- disk_snapshot.list.NAME#5d8c7b0b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.name, t.id) < ($7::text::text, $8::text)
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- disk_snapshot.list.NAME#77c5829e
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- disk_snapshot.list.NAME#797711b3
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.name, t.id) > ($7::text::text, $8::text)
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- disk_snapshot.list.NAME#8e6f230a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- disk_snapshot.list.NEWEST#6cb9c489
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.created_at, t.id) < ($7::text::timestamptz, $8::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- disk_snapshot.list.NEWEST#7229a5b1
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t WHERE (t.created_at, t.id) > ($7::text::timestamptz, $8::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- disk_snapshot.list.NEWEST#8cf716dc
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $7::int;

-- disk_snapshot.list.NEWEST#ff37cf7c
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $7::int;

-- disk_snapshot.list.count#c4b6da19
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR disk_id = $5) AND ($6::text IS NULL OR name = $6)) AS t;

-- disk_snapshot.list_in_scope
SELECT id, name FROM disk_snapshot WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- disk_snapshot.mark_failed
UPDATE disk_snapshot SET failure = $2::jsonb, lifecycle = CASE lifecycle WHEN 'DELETING' THEN lifecycle ELSE 'FAILED' END WHERE id = $1;

-- disk_snapshot.mark_kept
UPDATE disk_snapshot SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- disk_snapshot.mark_taken
UPDATE disk_snapshot SET lifecycle = 'PRESENT', taken_at = now(), failure = NULL WHERE id = $1;

-- disk_snapshot.of_disks
SELECT id, tenant_id, project_id, disk_id, name, size_gib, lifecycle, taken_at, failure, version, revision, created_at, updated_at FROM disk_snapshot WHERE disk_id = ANY($1) ORDER BY disk_id, created_at, id;

-- disk_snapshot.remove_rows
DELETE FROM disk_snapshot WHERE id IN (SELECT id FROM disk_snapshot WHERE id = ANY($1) ORDER BY id FOR UPDATE);

-- edge_drift.backends
SELECT backend_id FROM external_network UNION SELECT backend_id FROM router ORDER BY backend_id LIMIT $1::int;

-- edge_drift.expected
SELECT * FROM (
(SELECT id, 'EXTERNAL_NETWORK' AS kind, tenant_id, project_id, desired_revision, realised_revision, false AS is_led_nowhere FROM external_network
WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
ORDER BY id LIMIT $3::int)
UNION ALL
(SELECT id, 'PROVIDER_ROUTER', tenant_id, project_id, desired_revision, realised_revision, false FROM provider_router
WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
ORDER BY id LIMIT $3::int)
UNION ALL
(SELECT id, 'ROUTER', tenant_id, project_id, desired_revision, realised_revision, false FROM router
WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
ORDER BY id LIMIT $3::int)
UNION ALL
(SELECT f.id, 'FLOATING_IP', f.tenant_id, f.project_id, f.desired_revision, f.realised_revision, f.network_id IS NULL FROM floating_ip AS f
JOIN external_network AS e ON e.id = f.external_network_id
WHERE e.backend_id = $1 AND f.id > $2 AND (f.network_id IS NULL OR f.realised_revision > 0) AND f.lifecycle = 'PRESENT'
AND f.updated_at < $4
ORDER BY f.id LIMIT $3::int)
) AS part ORDER BY id COLLATE "C" LIMIT $3::int;

-- edge_drift.moved_gateways
SELECT l.id, l.kind, l.tenant_id, l.project_id, l.desired_revision FROM (
SELECT id, 'ROUTER' AS kind, tenant_id, project_id, desired_revision, gateway_hosts, external_network_id FROM router
WHERE backend_id = $1 AND lifecycle = 'PRESENT' AND realised_revision > 0 AND external_network_id IS NOT NULL
UNION ALL
SELECT id, 'PROVIDER_ROUTER', tenant_id, project_id, desired_revision, gateway_hosts, external_network_id FROM provider_router
WHERE backend_id = $1 AND lifecycle = 'PRESENT' AND realised_revision > 0
) AS l JOIN external_network AS e ON e.id = l.external_network_id
WHERE e.connected_hosts IS DISTINCT FROM '{}' AND l.gateway_hosts <> ARRAY(
SELECT h.name FROM host AS h WHERE h.backend_id = $1 AND (coalesce(cardinality(e.connected_hosts), 0) = 0 OR h.name = ANY (e.connected_hosts))
ORDER BY h.intent <> 'ENABLED', md5(l.id || h.id), h.id LIMIT $2::int)
ORDER BY l.id LIMIT $3::int;

-- event.forget
TRUNCATE event;

-- event.head
SELECT epoch, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint - 1 AS head, pruned_transaction_id FROM event_log;

-- event.prune
WITH gone AS (
DELETE FROM event WHERE sequence IN (
SELECT sequence FROM event WHERE at < $1 ORDER BY transaction_id, sequence LIMIT $2::int
) RETURNING transaction_id
), mark AS (
UPDATE event_log SET pruned_transaction_id = greatest(pruned_transaction_id, (SELECT max(transaction_id) FROM gone))
WHERE EXISTS (SELECT FROM gone)
)
SELECT count(*) AS removed FROM gone;

-- event.read
SELECT sequence, transaction_id, kind, resource_id, tenant_id, project_id, change, revision, at
FROM event
WHERE (transaction_id, sequence) > ($1::bigint, $2::bigint)
AND transaction_id < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
ORDER BY transaction_id, sequence
LIMIT $3::int;

-- event.renew_epoch
UPDATE event_log SET
epoch = left(md5(random()::text || clock_timestamp()::text), 12),
system_identifier = history.identifier,
pruned_transaction_id = 0
FROM (
SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS identifier FROM pg_control_system()
) AS history
WHERE $1::boolean OR event_log.system_identifier <> history.identifier
RETURNING epoch;

-- external_address.claim
INSERT INTO external_address (external_network_id, address, owner_id, tenant_id, project_id) VALUES ($1, $2::inet, $3, $4, $5)
ON CONFLICT (external_network_id, address) DO NOTHING RETURNING host(address) AS address;

-- external_address.count_used
SELECT external_network_id, count(*) AS used FROM external_address WHERE external_network_id = ANY($1) GROUP BY external_network_id;

-- external_address.find_free
SELECT host(every.address) AS address FROM (
SELECT e.id, e.gateway, (p ->> 'first')::inet + n AS address
FROM external_network AS e
CROSS JOIN LATERAL jsonb_array_elements(e.pools) AS p
CROSS JOIN LATERAL generate_series(0, (p ->> 'last')::inet - (p ->> 'first')::inet) AS n
WHERE e.id = $1
) AS every
WHERE every.address <> every.gateway AND NOT every.address = ANY($2::inet[])
AND NOT EXISTS (SELECT FROM external_address AS a WHERE a.external_network_id = every.id AND a.address = every.address)
ORDER BY random() LIMIT 1;

-- external_address.hand_over
UPDATE external_address SET owner_id = $2 WHERE owner_id = $1;

-- external_address.release
DELETE FROM external_address WHERE owner_id = ANY($1);

-- external_network.count_of_backend
SELECT count(*) AS count FROM external_network WHERE backend_id = $1;

-- external_network.fail
UPDATE external_network SET failure = $2::jsonb, realised_revision = 0,
lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
WHERE id = $1 RETURNING id, backend_id;

-- external_network.find
SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE id = ANY($1) ORDER BY id;

-- external_network.find_by_reference
SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE id = ANY($1) OR name = ANY($1) ORDER BY id;

-- external_network.host_names
SELECT name FROM host WHERE backend_id = $1 ORDER BY name;

-- external_network.kept
UPDATE external_network SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- external_network.list.NAME#54a95645
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- external_network.list.NAME#6449924f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- external_network.list.NAME#b3e7e6e7
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- external_network.list.NAME#dfe5f6da
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- external_network.list.count#6656d954
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)) AS t;

-- external_network.lock
SELECT id, name, lifecycle FROM external_network WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- external_network.made
UPDATE external_network SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- external_network.mark_realised
UPDATE external_network AS e SET realised_revision = n.revision
FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint)
WHERE e.id = n.id AND e.realised_revision < n.revision;

-- external_network.neighbours
SELECT id, name, cidr, vlan FROM external_network WHERE backend_id = $1 AND physical_network = $2 ORDER BY id;

-- external_network.of_backend
SELECT id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at FROM external_network WHERE backend_id = $1 AND lifecycle = 'PRESENT' ORDER BY id LIMIT $2::int;

-- external_network.remade
UPDATE external_network SET lifecycle = 'CREATING', failure = NULL, desired_revision = desired_revision + 1
WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id;

-- external_network.remove
DELETE FROM external_network WHERE id = ANY($1) RETURNING id, backend_id;

-- external_network.set_connected
UPDATE external_network AS e SET connected_hosts = n.hosts
FROM (
SELECT o.id, s.hosts FROM external_network AS o JOIN jsonb_to_recordset($1::jsonb) AS s (id text, hosts text[]) ON s.id = o.id
WHERE o.connected_hosts IS DISTINCT FROM s.hosts ORDER BY o.id FOR UPDATE OF o
) AS n WHERE e.id = n.id;

-- external_network.share
SELECT id, name, lifecycle FROM external_network WHERE id = ANY($1) ORDER BY id FOR SHARE;

-- firewall.find
SELECT id FROM installation WHERE id = ANY($1);

-- firewall.last_revision
SELECT last_revision AS revision FROM firewall;

-- firewall.needs
SELECT b.backend_id, max(s.changed_revision) AS desired_revision, coalesce(max(r.realised_revision), 0) AS realised_revision,
max(s.changed_at) AS changed_at
FROM unnest($1::text[], $2::text[]) AS b (backend_id, tenant_id)
JOIN backend AS k ON k.id = b.backend_id AND k.capabilities @> '{"firewall": true}'
JOIN firewall_scope AS s ON s.tenant_id = b.tenant_id OR s.tenant_id = ''
LEFT JOIN firewall_backend AS r ON r.backend_id = b.backend_id
GROUP BY b.backend_id ORDER BY b.backend_id;

-- firewall.open_networks
SELECT count(DISTINCT n.id) AS networks, coalesce((array_agg(DISTINCT k.name))[1:10], '{}') AS backends
FROM backend AS k JOIN network_backend AS nb ON nb.backend_id = k.id JOIN network AS n ON n.id = nb.network_id
WHERE NOT k.capabilities @> '{"firewall": true}' AND ($1::text IS NULL OR n.tenant_id = $1) AND ($2::text IS NULL OR n.project_id = $2);

-- firewall.places
SELECT b.backend_id, max(s.changed_revision) AS desired_revision, coalesce(max(r.realised_revision), 0) AS realised_revision,
max(s.changed_at) AS changed_at,
EXISTS (SELECT FROM port AS p WHERE p.backend_id = b.backend_id AND p.realised_revision > 0) AS has_ports
FROM (
SELECT DISTINCT nb.backend_id, n.tenant_id FROM network_backend AS nb JOIN network AS n ON n.id = nb.network_id
WHERE $1::text IS NULL OR nb.backend_id = $1
UNION ALL
SELECT backend_id, '' FROM firewall_backend WHERE $1::text IS NULL OR backend_id = $1
) AS b
JOIN backend AS k ON k.id = b.backend_id AND k.capabilities @> '{"firewall": true}'
JOIN firewall_scope AS s ON s.tenant_id = b.tenant_id OR s.tenant_id = '' OR ($1::text IS NOT NULL AND b.tenant_id = '')
LEFT JOIN firewall_backend AS r ON r.backend_id = b.backend_id
GROUP BY b.backend_id
HAVING $2::text IS NULL OR bool_or(b.tenant_id = $2)
ORDER BY b.backend_id;

-- firewall.raise_revision
WITH scope AS (SELECT $1::text AS tenant_id), next AS (UPDATE firewall SET last_revision = last_revision + 1 RETURNING last_revision AS revision) 
INSERT INTO firewall_scope (tenant_id, changed_revision) SELECT scope.tenant_id, next.revision FROM scope, next
ON CONFLICT (tenant_id) DO UPDATE SET changed_revision = excluded.changed_revision, changed_at = now();

-- firewall.raise_revision_of_policy
WITH scope AS (SELECT coalesce(scope_tenant_id, '') AS tenant_id FROM firewall_policy WHERE id = $1), next AS (UPDATE firewall SET last_revision = last_revision + 1 RETURNING last_revision AS revision) 
INSERT INTO firewall_scope (tenant_id, changed_revision) SELECT scope.tenant_id, next.revision FROM scope, next
ON CONFLICT (tenant_id) DO UPDATE SET changed_revision = excluded.changed_revision, changed_at = now();

-- firewall_backend.mark_realised
INSERT INTO firewall_backend AS r (backend_id, realised_revision)
SELECT b.id, $2::bigint FROM unnest($1::text[]) AS b (id) ORDER BY b.id
ON CONFLICT (backend_id) DO UPDATE SET realised_revision = greatest(r.realised_revision, excluded.realised_revision);

-- firewall_policy.count
SELECT count(*) AS count, coalesce(max(position), 0) AS last,
coalesce(sum(jsonb_array_length(rules)) FILTER (WHERE id IS DISTINCT FROM $1), 0)::float8 AS rules FROM firewall_policy;

-- firewall_policy.count_in_scope
SELECT count(*) AS count FROM firewall_policy WHERE scope_tenant_id = $1 AND ($2::text IS NULL OR scope_project_id = $2);

-- firewall_policy.deletable_in_scope
SELECT id FROM firewall_policy WHERE scope_tenant_id = $1 AND ($2::text IS NULL OR scope_project_id = $2) AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- firewall_policy.fail
UPDATE firewall_policy SET failure = coalesce($2::jsonb, failure),
lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END WHERE id = $1;

-- firewall_policy.find
SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy WHERE id = ANY($1) ORDER BY id;

-- firewall_policy.in_force
SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy WHERE lifecycle IN ('CREATING', 'PRESENT') ORDER BY position;

-- firewall_policy.kept
UPDATE firewall_policy SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- firewall_policy.list.NAME#2a8e03d9
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- firewall_policy.list.NAME#84f777c1
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- firewall_policy.list.NAME#f0b142f2
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- firewall_policy.list.NAME#f515904f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- firewall_policy.list.POSITION#36e877b0
SELECT t.*, t.position::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t WHERE (t.position, t.id) < ($3::text::bigint, $4::text)
ORDER BY t.position DESC, t.id DESC LIMIT $5::int;

-- firewall_policy.list.POSITION#4319c90b
SELECT t.*, t.position::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t 
ORDER BY t.position ASC, t.id ASC LIMIT $3::int;

-- firewall_policy.list.POSITION#ee082370
SELECT t.*, t.position::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t 
ORDER BY t.position DESC, t.id DESC LIMIT $3::int;

-- firewall_policy.list.POSITION#eefa8131
SELECT t.*, t.position::text AS keyset_key FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t WHERE (t.position, t.id) > ($3::text::bigint, $4::text)
ORDER BY t.position ASC, t.id ASC LIMIT $5::int;

-- firewall_policy.list.count#24197188
SELECT count(*) AS count FROM (SELECT id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
updated_at FROM firewall_policy
WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)) AS t;

-- firewall_policy.list_in_scope
SELECT id, name FROM firewall_policy WHERE scope_tenant_id = $1 AND ($2::text IS NULL OR scope_project_id = $2) ORDER BY id LIMIT $3::int;

-- firewall_policy.made
UPDATE firewall_policy SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- firewall_policy.remake
UPDATE firewall_policy SET lifecycle = 'CREATING', failure = NULL WHERE id = $1 AND lifecycle = 'FAILED';

-- firewall_policy.remove
DELETE FROM firewall_policy WHERE id = $1;

-- firewall_policy.restore
UPDATE firewall_policy SET position = $2, rules = $3::jsonb, version = version + 1 WHERE id = $1;

-- firewall_policy.twin
SELECT id, name, position FROM firewall_policy WHERE name = $1 OR position = $2 ORDER BY id;

-- flavor.find
SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE id = ANY($1);

-- flavor.find_by_reference
SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE id = ANY($1) OR name = ANY($1);

-- flavor.in_use
SELECT count(*) AS machines FROM (SELECT 1 FROM virtual_machine WHERE flavor_id = $1 LIMIT 1000) AS used;

-- flavor.list.NAME#6f7e01a0
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) > ($2::text::text, $3::text)
ORDER BY t.name ASC, t.id ASC LIMIT $4::int;

-- flavor.list.NAME#7c079622
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $2::int;

-- flavor.list.NAME#83e7e535
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) < ($2::text::text, $3::text)
ORDER BY t.name DESC, t.id DESC LIMIT $4::int;

-- flavor.list.NAME#d8ba76e6
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $2::int;

-- flavor.list.count#1015f844
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at FROM flavor WHERE ($1::text IS NULL OR name = $1)) AS t;

-- flavor.of_storage_policy
SELECT count(*) AS count FROM (SELECT 1 FROM flavor WHERE storage_policy_id = $1 LIMIT 100000) AS used;

-- flavor.remove_unused
DELETE FROM flavor WHERE state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.flavor_id = flavor.id) RETURNING id;

-- floating_ip.count_in_scope
SELECT count(*) AS count FROM floating_ip WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- floating_ip.count_of_backend
SELECT count(*) AS count FROM floating_ip AS f JOIN external_network AS e ON e.id = f.external_network_id WHERE e.backend_id = $1;

-- floating_ip.deletable_in_scope
SELECT id FROM floating_ip WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- floating_ip.find
SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip WHERE id = ANY($1) ORDER BY id;

-- floating_ip.find_by_name
SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip WHERE project_id = $1 AND name = $2;

-- floating_ip.find_visible
SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND f.id = ANY($4);

-- floating_ip.kept
UPDATE floating_ip SET lifecycle = 'PRESENT' WHERE id = $1 AND lifecycle = 'DELETING';

-- floating_ip.list.CREATED#1658e624
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- floating_ip.list.CREATED#33a7f0d8
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- floating_ip.list.CREATED#368fc7ea
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- floating_ip.list.CREATED#ea1c1a7e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- floating_ip.list.NAME#5822d1a2
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.name, t.id) < ($9::text::text, $10::text)
ORDER BY t.name DESC, t.id DESC LIMIT $11::int;

-- floating_ip.list.NAME#5c8c6750
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.name, t.id) > ($9::text::text, $10::text)
ORDER BY t.name ASC, t.id ASC LIMIT $11::int;

-- floating_ip.list.NAME#e5ae36cd
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- floating_ip.list.NAME#e89da7ab
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- floating_ip.list.NEWEST#1658e624
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- floating_ip.list.NEWEST#33a7f0d8
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- floating_ip.list.NEWEST#368fc7ea
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- floating_ip.list.NEWEST#ea1c1a7e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- floating_ip.list.count#bf4094b7
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip AS f
WHERE ($1::boolean OR f.tenant_id = ANY($2::text[]) OR f.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)) AS t;

-- floating_ip.list_in_scope
SELECT id, name FROM floating_ip WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- floating_ip.mark_realised
UPDATE floating_ip AS f SET realised_revision = n.revision
FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint)
WHERE f.id = n.id AND f.realised_revision < n.revision;

-- floating_ip.of_networks
SELECT id, name, host(address) AS address FROM floating_ip WHERE network_id = ANY($1) ORDER BY id LIMIT $2::int;

-- floating_ip.of_owners
SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip WHERE owner_id = ANY($1) ORDER BY owner_id, id;

-- floating_ip.of_targets
SELECT id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM floating_ip WHERE port_id = ANY($1) OR load_balancer_id = ANY($1) ORDER BY id;

-- floating_ip.point
UPDATE floating_ip SET network_id = $2, port_id = $3, load_balancer_id = $4, desired_revision = desired_revision + 1, version = version + 1
WHERE id = $1 AND ($5::bigint IS NULL OR version = $5) RETURNING id;

-- floating_ip.remove
DELETE FROM floating_ip AS f USING external_network AS e
WHERE f.id = ANY($1) AND e.id = f.external_network_id RETURNING f.id, e.backend_id;

-- floating_ip.routers
SELECT f.id, n.router_id, r.provider_router_id, host(t.address) AS transit_address, e.backend_id FROM floating_ip AS f
JOIN external_network AS e ON e.id = f.external_network_id
LEFT JOIN router_network AS n ON n.network_id = f.network_id
LEFT JOIN router AS r ON r.id = n.router_id
LEFT JOIN transit_address AS t ON t.owner_id = f.id AND t.provider_router_id = r.provider_router_id
WHERE f.id = ANY($1) ORDER BY f.id;

-- going.keep_project
WITH kept AS (
UPDATE project SET deletion_operation_id = NULL WHERE id = $1 AND deletion_operation_id = $3 RETURNING id
)
UPDATE scope SET state = $2, version = version + 1 FROM kept WHERE scope.id = kept.id;

-- going.keep_tenant
WITH kept AS (
UPDATE tenant SET deletion_operation_id = NULL WHERE id = $1 AND deletion_operation_id = $3 RETURNING id
)
UPDATE scope SET state = $2, version = version + 1 FROM kept WHERE scope.id = kept.id;

-- going.leftovers
SELECT * FROM (
SELECT 'secret' AS kind, id, purpose AS name FROM secret WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)
UNION ALL
SELECT 'operation', id, kind FROM operation
WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND ended_at IS NULL AND root_id <> $3
) AS left_over
ORDER BY kind, id LIMIT $4::int;

-- going.lock
SELECT id FROM scope WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id FOR UPDATE;

-- going.projects
SELECT id, name FROM scope WHERE tenant_id = $1 AND kind = 'PROJECT' ORDER BY name LIMIT 10000;

-- going.remove
WITH projects AS (DELETE FROM project WHERE id = ANY($2)),
grants AS (DELETE FROM zone_grant WHERE tenant_id = ANY($2)),
tenants AS (DELETE FROM tenant WHERE id = ANY($2))
DELETE FROM scope WHERE tenant_id = $1 AND id = ANY($2);

-- group.add_member
INSERT INTO group_membership (group_id, principal_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- group.find
SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group WHERE id = ANY($1);

-- group.find_claimed
SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group WHERE scope_id = $1 AND issuer = $2 AND name = ANY($3);

-- group.list.NAME#131086b3
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.scope_id = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- group.list.NAME#72697a12
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.scope_id = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- group.list.NAME#b02af79a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.scope_id = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- group.list.NAME#edd0f0a8
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.scope_id = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- group.list.count#76554685
SELECT count(*) AS count FROM (SELECT id, scope_id, tenant_id, project_id, issuer, name, version, created_at FROM principal_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.scope_id = $4)) AS t;

-- group.members
SELECT g.id AS group_id, m.* FROM unnest($1::text[]) AS g (id)
CROSS JOIN LATERAL (
SELECT p.* FROM group_membership AS gm JOIN principal AS p ON p.id = gm.principal_id
WHERE gm.group_id = g.id ORDER BY p.name, p.id LIMIT $2::int) AS m;

-- group.remove_member
DELETE FROM group_membership WHERE group_id = $1 AND principal_id = $2;

-- group.replace_memberships
WITH wanted AS (
SELECT g.id FROM principal_group AS g JOIN principal AS p ON p.id = $1
WHERE g.id = ANY($2) AND g.issuer IS NOT NULL AND (p.tenant_id IS NULL OR p.tenant_id = g.tenant_id) AND (p.project_id IS NULL OR p.project_id = g.project_id)
), gone AS (
DELETE FROM group_membership AS m USING principal_group AS g
WHERE m.principal_id = $1 AND g.id = m.group_id AND g.issuer IS NOT NULL AND g.id <> ALL($2)
), come AS (
INSERT INTO group_membership (group_id, principal_id) SELECT id, $1 FROM wanted ON CONFLICT DO NOTHING
)
SELECT count(*) AS fitting FROM wanted;

-- heartbeat.backend_listing
UPDATE backend SET health_reason = $2::text WHERE id = $1 AND health = 'UP' AND health_reason IS DISTINCT FROM $2::text;

-- heartbeat.backend_silent
WITH silent AS (
SELECT b.id FROM backend AS b LEFT JOIN backend_heartbeat AS s ON s.backend_id = b.id
WHERE b.id = $1 AND coalesce(s.last_seen_at, b.created_at) < now() - $3::float8 * interval '1 millisecond'
), down AS (
UPDATE backend AS b SET health = 'DOWN', health_since = now(), health_reason = $2
FROM silent WHERE b.id = silent.id AND b.health <> 'DOWN'
)
UPDATE host AS h SET health = 'UNKNOWN', health_since = now(), health_reason = 'Its backend does not answer.'
FROM silent WHERE h.backend_id = silent.id AND h.health = 'UP'
RETURNING h.id, h.intent, 'UP' AS health, h.fence, h.vacant;

-- heartbeat.backend_up
WITH beat AS (
INSERT INTO backend_heartbeat (backend_id) SELECT id FROM backend WHERE id = $1
ON CONFLICT (backend_id) DO UPDATE SET last_seen_at = now()
)
UPDATE backend SET
health = 'UP', health_reason = NULL, capabilities = $2::jsonb,
health_since = CASE WHEN health <> 'UP' THEN now() ELSE health_since END
WHERE id = $1 AND (health <> 'UP' OR capabilities <> $2::jsonb);

-- heartbeat.backends
SELECT id FROM backend ORDER BY id LIMIT 1000;

-- heartbeat.claim_fence
UPDATE host_heartbeat AS b SET fence_asked_at = now()
FROM host AS h
CROSS JOIN (SELECT count(*) FILTER (WHERE health = 'DOWN') AS down, count(*) AS total FROM host WHERE backend_id = $1) AS counts
WHERE h.id = $3 AND b.host_id = h.id AND h.health = 'DOWN' AND b.beats = 0 AND b.silent_since < now() - $4::float8 * interval '1 millisecond'
AND h.fence <> 'PROVEN_OFF' AND NOT (h.intent = 'MAINTENANCE' AND h.vacant)
AND (b.fence_asked_at IS NULL OR b.fence_asked_at < now() - $2::float8 * interval '1 millisecond')
RETURNING counts.down, counts.total;

-- heartbeat.record
WITH seen AS (
SELECT * FROM jsonb_to_recordset($2::jsonb) AS s (name text, alive boolean, cpu integer, memory_mib integer, traits text[],
cpu_percent float8, memory_used_mib bigint)
), looked AS (
SELECT h.id, h.intent, h.health, h.fence, h.vacant, coalesce(s.alive, false) AS alive, s.name IS NOT NULL AS listed,
coalesce(nullif(s.cpu, 0), h.cpu) AS cpu, coalesce(nullif(s.memory_mib, 0), h.memory_mib) AS memory_mib, s.traits, s.cpu_percent, s.memory_used_mib,
CASE WHEN coalesce(s.alive, false) THEN least(coalesce(b.beats, 0) + 1, 1000000) ELSE 0 END AS beats,
CASE WHEN coalesce(s.alive, false) THEN 0 ELSE least(coalesce(b.misses, 0) + 1, 1000000) END AS misses,
CASE WHEN s.alive THEN NULL
WHEN b.observed_at >= now() - $5::float8 * interval '1 millisecond' THEN coalesce(b.silent_since, b.last_seen_at, h.created_at)
ELSE now() END AS silent_since
FROM host AS h LEFT JOIN seen AS s ON s.name = h.name LEFT JOIN host_heartbeat AS b ON b.host_id = h.id
WHERE h.backend_id = $1
), beat AS (
INSERT INTO host_heartbeat (host_id, last_seen_at, silent_since, beats, misses, cpu_percent, memory_used_mib, observed_at)
SELECT id, CASE WHEN alive THEN now() END, silent_since, beats, misses, cpu_percent, memory_used_mib, now() FROM looked ORDER BY id
ON CONFLICT (host_id) DO UPDATE SET
last_seen_at = coalesce(excluded.last_seen_at, host_heartbeat.last_seen_at), silent_since = excluded.silent_since,
beats = excluded.beats, misses = excluded.misses,
cpu_percent = excluded.cpu_percent, memory_used_mib = excluded.memory_used_mib, observed_at = excluded.observed_at
), judged AS (
SELECT *, CASE
WHEN alive AND (health = 'UP' OR beats >= $4::int) THEN 'UP'
WHEN NOT alive AND misses >= 2 AND silent_since < now() - $3::float8 * interval '1 millisecond' THEN 'DOWN'
ELSE health END AS now_health
FROM looked
)
UPDATE host AS h SET
health = j.now_health,
health_since = CASE WHEN j.now_health <> j.health THEN now() ELSE h.health_since END,
health_reason = CASE j.now_health
WHEN j.health THEN h.health_reason
WHEN 'DOWN' THEN CASE WHEN j.listed THEN 'Its backend reports that it does not answer.' ELSE 'Its backend does not list it any more.' END
ELSE NULL END,
fence = CASE WHEN j.now_health = 'UP' THEN 'NONE' ELSE h.fence END,
fence_source = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_source END,
fence_since = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_since END,
fence_reason = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_reason END,
network_behind_since = CASE WHEN j.now_health = 'UP' AND j.health = 'DOWN' THEN coalesce(h.network_behind_since, now()) ELSE h.network_behind_since END,
network_behind_reason = CASE WHEN j.now_health = 'UP' AND j.health = 'DOWN' THEN 'It was away; it is being asked whether it has all that its network was told meanwhile.'
ELSE h.network_behind_reason END,
network_tellings = CASE WHEN j.now_health = 'UP' AND j.health = 'DOWN' THEN h.network_tellings + 1 ELSE h.network_tellings END,
cpu = CASE WHEN j.alive THEN j.cpu ELSE h.cpu END,
memory_mib = CASE WHEN j.alive THEN j.memory_mib ELSE h.memory_mib END,
traits = CASE WHEN j.alive THEN j.traits ELSE h.traits END
FROM judged AS j
WHERE h.id = j.id AND (
j.now_health <> h.health OR (j.now_health = 'UP' AND h.fence <> 'NONE')
OR (j.alive AND (h.cpu, h.memory_mib, h.traits) IS DISTINCT FROM (j.cpu, j.memory_mib, j.traits)))
RETURNING h.id, j.intent, j.health, j.fence, j.vacant;

-- heartbeat.record_fence
WITH before AS (SELECT id, intent, health, fence, vacant FROM host WHERE id = $1)
UPDATE host AS h SET fence = $2, fence_source = 'BACKEND', fence_reason = $3,
fence_since = CASE WHEN h.fence <> $2 THEN now() ELSE h.fence_since END
FROM before AS b
WHERE h.id = b.id AND h.health = 'DOWN' AND h.fence <> 'PROVEN_OFF' AND (h.fence, h.fence_reason) IS DISTINCT FROM ($2, $3)
RETURNING h.id, b.intent, b.health, b.fence, b.vacant;

-- heartbeat.record_pools
WITH told AS MATERIALIZED (
SELECT * FROM jsonb_to_recordset($2::jsonb) AS t (host text, name text, capacity_gib bigint, used_gib bigint)
), seen AS MATERIALIZED (
SELECT d.id, t.capacity_gib, t.used_gib
FROM told AS t JOIN host AS h ON h.backend_id = $1 AND h.name = t.host JOIN datastore AS d ON d.host_id = h.id AND d.name = t.name
UNION ALL
SELECT d.id, t.capacity_gib, t.used_gib
FROM told AS t JOIN datastore AS d ON d.backend_id = $1 AND d.host_id IS NULL AND d.name = t.name
WHERE t.host IS NULL
), used AS (
INSERT INTO datastore_heartbeat AS b (datastore_id, used_gib, observed_at)
SELECT id, used_gib, now() FROM seen ORDER BY id
ON CONFLICT (datastore_id) DO UPDATE SET used_gib = excluded.used_gib, observed_at = excluded.observed_at
WHERE b.used_gib <> excluded.used_gib
)
UPDATE datastore AS d SET capacity_gib = s.capacity_gib, limits_iops = b.limits_iops
FROM seen AS s CROSS JOIN (SELECT coalesce((capabilities->>'iopsLimit')::boolean, false) AS limits_iops FROM backend WHERE id = $1) AS b
WHERE d.id = s.id AND (d.capacity_gib, d.limits_iops) <> (s.capacity_gib, b.limits_iops);

-- heartbeat.to_fence
SELECT h.id, h.name
FROM host AS h JOIN host_heartbeat AS b ON b.host_id = h.id
WHERE h.backend_id = $1 AND h.health = 'DOWN' AND b.beats = 0 AND b.silent_since < now() - $4::float8 * interval '1 millisecond'
AND h.fence <> 'PROVEN_OFF' AND NOT (h.intent = 'MAINTENANCE' AND h.vacant)
AND (b.fence_asked_at IS NULL OR b.fence_asked_at < now() - $2::float8 * interval '1 millisecond')
ORDER BY b.fence_asked_at NULLS FIRST, h.id LIMIT $3::int;

-- host.behind
SELECT id, backend_id, name, network_tellings FROM host WHERE network_behind_since IS NOT NULL AND health = 'UP' ORDER BY random() LIMIT $1::int;

-- host.count_behind
SELECT count(*) AS hosts FROM host WHERE network_behind_since IS NOT NULL;

-- host.down_names
SELECT name FROM host WHERE backend_id = $1 AND health = 'DOWN';

-- host.explain_behind
UPDATE host SET network_behind_reason = $2
WHERE id = $1 AND network_behind_since IS NOT NULL AND network_behind_reason IS DISTINCT FROM $2;

-- host.find
SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host WHERE id = ANY($1);

-- host.list.NAME#1adf0024
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)) AS t WHERE (t.name, t.id) < ($6::text::text, $7::text)
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- host.list.NAME#23975d30
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $6::int;

-- host.list.NAME#2a858def
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)) AS t WHERE (t.name, t.id) > ($6::text::text, $7::text)
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- host.list.NAME#d5e093ed
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $6::int;

-- host.list.count#1ba42860
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at FROM host
WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)) AS t;

-- host.loads
SELECT host_id, last_seen_at, cpu_percent, memory_used_mib, observed_at FROM host_heartbeat WHERE host_id = ANY($1);

-- host.mark_behind
UPDATE host AS h SET network_behind_since = coalesce(h.network_behind_since, now()), network_behind_reason = $3, network_tellings = network_tellings + 1
FROM (
SELECT id FROM host WHERE backend_id = $1 AND name = ANY($2)
AND (health <> 'DOWN' OR network_behind_since IS NULL OR network_behind_reason IS DISTINCT FROM $3)
ORDER BY id FOR UPDATE
) AS behind
WHERE h.id = behind.id;

-- host.mark_current
UPDATE host SET network_behind_since = NULL, network_behind_reason = NULL
WHERE id = $1 AND network_tellings = $2 AND network_behind_since IS NOT NULL;

-- host.mark_vacant
UPDATE host SET vacant = true WHERE id = $1 AND intent = 'MAINTENANCE' AND NOT vacant;

-- host.names
SELECT name FROM host WHERE backend_id = $1;

-- host.restore_intent
UPDATE host SET intent = $2, intent_reason = $3, vacant = false, version = version + 1 WHERE id = $1 AND intent = 'MAINTENANCE';

-- host_capacity.find
SELECT h.host_id, h.cpu_limit, h.memory_limit_mib, h.cpu_claimed, h.memory_claimed_mib, count(c.resource_id) AS claims
FROM host_capacity AS h LEFT JOIN host_claim AS c ON c.host_id = h.host_id
WHERE h.host_id = ANY($1) GROUP BY h.host_id;

-- host_capacity.of_zones
SELECT zone_id, count(*) AS hosts, count(*) FILTER (WHERE state = 'ACTIVE') AS active_hosts,
coalesce(sum(cpu_limit) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS cpu_limit,
coalesce(sum(cpu_claimed) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS cpu_claimed,
coalesce(sum(memory_limit_mib) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS memory_limit_mib,
coalesce(sum(memory_claimed_mib) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS memory_claimed_mib
FROM host_capacity WHERE zone_id = ANY($1) GROUP BY zone_id;

-- host_claim.adjust
UPDATE host_capacity AS h SET
cpu_claimed = h.cpu_claimed + d.amounts[1], memory_claimed_mib = h.memory_claimed_mib + d.amounts[2]
FROM jsonb_to_recordset($1::jsonb) AS d (id text, amounts bigint[], newcomers boolean)
WHERE h.host_id = d.id
AND (NOT d.newcomers OR h.state = 'ACTIVE')
AND (d.amounts[1] <= 0 OR h.cpu_claimed + d.amounts[1] <= h.cpu_limit)
AND (d.amounts[2] <= 0 OR h.memory_claimed_mib + d.amounts[2] <= h.memory_limit_mib)
RETURNING h.host_id AS id;

-- host_claim.copy
INSERT INTO host_claim (resource_id, host_id, tenant_id, project_id, cpu, memory_mib)
SELECT DISTINCT ON (c.resource_id) c.resource_id, n.holder_id, c.tenant_id, c.project_id, n.amounts[1], n.amounts[2]
FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
JOIN host_claim AS c USING (resource_id);

-- host_claim.count_in_scope
SELECT count(*) AS count FROM host_claim WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- host_claim.find
SELECT resource_id, host_id AS holder_id, ARRAY[cpu, memory_mib] AS amounts FROM host_claim WHERE resource_id = ANY($1);

-- host_claim.insert
INSERT INTO host_claim (resource_id, host_id, tenant_id, project_id, cpu, memory_mib)
SELECT resource_id, holder_id, tenant_id, project_id, amounts[1], amounts[2]
FROM jsonb_to_recordset($1::jsonb) AS c (resource_id text, holder_id text, tenant_id text, project_id text, amounts bigint[]);

-- host_claim.list_in_scope
SELECT resource_id AS id, resource_id AS name FROM host_claim WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY resource_id LIMIT $3::int;

-- host_claim.lock
SELECT host_id AS id FROM host_capacity WHERE host_id = ANY($1) ORDER BY host_id FOR NO KEY UPDATE;

-- host_claim.remove
DELETE FROM host_claim AS c USING jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text)
WHERE c.resource_id = n.resource_id AND c.host_id = n.holder_id;

-- host_claim.resize
UPDATE host_claim AS c SET cpu = n.amounts[1], memory_mib = n.amounts[2]
FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
WHERE c.resource_id = n.resource_id AND c.host_id = n.holder_id;

-- image.count_in_scope
SELECT count(*) AS count FROM image WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- image.find
SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image WHERE id = ANY($1);

-- image.find_by_reference
SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (id = ANY($1) OR name = ANY($1)) AND (project_id IS NULL OR project_id = $2)
ORDER BY project_id NULLS LAST;

-- image.in_use
SELECT count(*) AS machines FROM (SELECT 1 FROM virtual_machine WHERE image_id = $1 LIMIT 1000) AS used;

-- image.list.NAME#29567ec1
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
AND ($4::text IS NULL OR name = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- image.list.NAME#94a4a15c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
AND ($4::text IS NULL OR name = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- image.list.NAME#c75bce1b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
AND ($4::text IS NULL OR name = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- image.list.NAME#ff7a9dd8
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
AND ($4::text IS NULL OR name = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- image.list.count#81494cb8
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at FROM image
WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
AND ($4::text IS NULL OR name = $4)) AS t;

-- image.list_in_scope
SELECT id, name FROM image WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- image.remove_unused
DELETE FROM image WHERE state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.image_id = image.id) RETURNING id;

-- infrastructure.removable
SELECT 'datastore' AS kind, d.id FROM datastore AS d WHERE d.state = 'PENDING_DELETE'
UNION ALL
SELECT 'rack', r.id FROM rack AS r WHERE r.state = 'PENDING_DELETE' AND NOT EXISTS (SELECT FROM host WHERE rack_id = r.id)
UNION ALL
SELECT 'backend', b.id FROM backend AS b WHERE b.state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM host WHERE backend_id = b.id) AND NOT EXISTS (SELECT FROM datastore WHERE backend_id = b.id)
UNION ALL
SELECT 'zone', z.id FROM zone AS z WHERE z.state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM host WHERE zone_id = z.id) AND NOT EXISTS (SELECT FROM rack WHERE zone_id = z.id)
AND NOT EXISTS (SELECT FROM datastore WHERE zone_id = z.id)
LIMIT 100;

-- installation.find
SELECT id FROM installation;

-- issuer.bring
WITH moved AS (
INSERT INTO issuer AS i (id, scope_id, name, url, audience, client_id, subject_claim, name_claim, groups_claim, algorithms)
VALUES ($1, $2, $3, $4, $5, $6, 'sub', 'name', $7, '{ES256}')
ON CONFLICT (scope_id, name) DO UPDATE SET url = excluded.url, version = i.version + 1 WHERE i.url <> excluded.url
RETURNING id
)
SELECT id FROM moved UNION ALL SELECT id FROM issuer WHERE scope_id = $2 AND name = $3 LIMIT 1;

-- issuer.find
SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer WHERE id = ANY($1);

-- issuer.holdings
SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object('role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id)), '[]') AS grants
FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
WHERE b.principal_id IN (SELECT id FROM principal WHERE issuer_id = $1)
OR b.group_id IN (SELECT m.group_id FROM group_membership AS m JOIN principal AS p ON p.id = m.principal_id WHERE p.issuer_id = $1)
OR b.group_id IN (SELECT id FROM principal_group WHERE issuer = $1);

-- issuer.list.NAME#58800f33
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer AS i WHERE ($1::boolean OR i.tenant_id = ANY($2::text[]) OR i.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- issuer.list.NAME#7eff4155
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer AS i WHERE ($1::boolean OR i.tenant_id = ANY($2::text[]) OR i.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- issuer.list.NAME#a062a11f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer AS i WHERE ($1::boolean OR i.tenant_id = ANY($2::text[]) OR i.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- issuer.list.NAME#d3fb7e97
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer AS i WHERE ($1::boolean OR i.tenant_id = ANY($2::text[]) OR i.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- issuer.list.count#871e555c
SELECT count(*) AS count FROM (SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer AS i WHERE ($1::boolean OR i.tenant_id = ANY($2::text[]) OR i.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t;

-- issuer.of_token
SELECT id, scope_id, tenant_id, project_id, name, url, audience, jwks_uri, client_id, subject_claim, name_claim, groups_claim, algorithms, enabled, version, revision, created_at FROM issuer WHERE url = $1 AND audience = ANY($2) AND enabled
ORDER BY tenant_id IS NOT NULL, array_position($2::text[], audience), id LIMIT 5;

-- issuer.public
SELECT name, url, audience, client_id FROM issuer WHERE tenant_id IS NULL AND client_id IS NOT NULL AND enabled ORDER BY name LIMIT 20;

-- issuer.remove_of_scopes
DELETE FROM issuer WHERE scope_id = ANY($1);

-- lease.drop
DELETE FROM lease WHERE starts_with(name, $1) AND name <> ALL ($2)
AND coalesce(until, due_at) < clock_timestamp() - interval '1 day';

-- lease.free
SELECT w.name FROM unnest($1::text[]) AS w (name) LEFT JOIN lease ON lease.name = w.name
WHERE lease.name IS NULL
OR ((lease.until IS NULL OR lease.until <= clock_timestamp())
AND (lease.due_at <= clock_timestamp() OR lease.owner IS NOT NULL))
ORDER BY w.name;

-- lease.holds
SELECT name FROM lease WHERE name = $1 AND fence = $2 AND owner = $3 AND until > clock_timestamp();

-- lease.nudge
INSERT INTO lease (name) SELECT unnest($1::text[]) ORDER BY 1
ON CONFLICT (name) DO UPDATE SET due_at = clock_timestamp()
RETURNING name;

-- lease.release
UPDATE lease SET owner = NULL, until = NULL,
due_at = least(due_at, clock_timestamp() + $4::bigint * interval '1 millisecond'),
failures = CASE WHEN $5 THEN failures + 1 ELSE 0 END
WHERE name = $1 AND fence = $2 AND owner = $3;

-- lease.renew
UPDATE lease SET until = clock_timestamp() + $4::int * interval '1 millisecond'
FROM unnest($1::text[], $2::bigint[]) AS w (name, fence)
WHERE lease.name = w.name AND lease.fence = w.fence AND lease.owner = $3
RETURNING lease.name, lease.fence;

-- lease.take
INSERT INTO lease (name, owner, fence, until, due_at)
VALUES ($1, $2, 1, clock_timestamp() + $3::int * interval '1 millisecond', 'infinity')
ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner, fence = lease.fence + 1, until = EXCLUDED.until, due_at = 'infinity'
WHERE (lease.until IS NULL OR lease.until <= clock_timestamp())
AND (lease.due_at <= clock_timestamp() OR lease.owner IS NOT NULL)
RETURNING fence, failures;

-- load_balancer.count_in_scope
SELECT count(*) AS count FROM load_balancer WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- load_balancer.deletable_in_scope
SELECT id FROM load_balancer WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- load_balancer.fail
UPDATE load_balancer SET failure = $2::jsonb, subnet_id = NULL, address = NULL, realised_revision = 0,
lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
WHERE id = $1 RETURNING id, backend_id;

-- load_balancer.find
SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer WHERE id = ANY($1) ORDER BY id;

-- load_balancer.find_by_name
SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer WHERE project_id = $1 AND name = $2;

-- load_balancer.find_visible
SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND l.id = ANY($4);

-- load_balancer.kept
UPDATE load_balancer SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- load_balancer.list.CREATED#703fce96
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- load_balancer.list.CREATED#893b3e15
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- load_balancer.list.CREATED#c95c80eb
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- load_balancer.list.CREATED#cb66eaaa
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- load_balancer.list.NAME#0db1832f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- load_balancer.list.NAME#4c652d28
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.name, t.id) > ($9::text::text, $10::text)
ORDER BY t.name ASC, t.id ASC LIMIT $11::int;

-- load_balancer.list.NAME#9cdd6547
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- load_balancer.list.NAME#c2aee998
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.name, t.id) < ($9::text::text, $10::text)
ORDER BY t.name DESC, t.id DESC LIMIT $11::int;

-- load_balancer.list.NEWEST#703fce96
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- load_balancer.list.NEWEST#893b3e15
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- load_balancer.list.NEWEST#c95c80eb
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- load_balancer.list.NEWEST#cb66eaaa
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- load_balancer.list.count#b766edab
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer AS l
WHERE ($1::boolean OR l.tenant_id = ANY($2::text[]) OR l.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text[] IS NULL OR lifecycle = ANY($8))) AS t;

-- load_balancer.list_in_scope
SELECT id, name FROM load_balancer WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- load_balancer.lock
SELECT id, name, lifecycle FROM load_balancer WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- load_balancer.made
UPDATE load_balancer SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- load_balancer.mark_behind
UPDATE load_balancer SET realised_revision = 0 WHERE id = ANY($1) AND realised_revision > 0;

-- load_balancer.mark_realised
UPDATE load_balancer AS l SET realised_revision = r.revision
FROM (
SELECT l.id, n.revision FROM load_balancer AS l
JOIN jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint) ON n.id = l.id
WHERE l.realised_revision < n.revision ORDER BY l.id FOR UPDATE OF l
) AS r
WHERE l.id = r.id;

-- load_balancer.of_owners
SELECT id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
desired_revision, realised_revision, failure, version, revision, created_at, updated_at FROM load_balancer WHERE owner_id = ANY($1) ORDER BY owner_id, id;

-- load_balancer.of_ports
SELECT DISTINCT load_balancer_id AS id FROM load_balancer_member WHERE port_id = ANY($1) ORDER BY id;

-- load_balancer.raise_revision
UPDATE load_balancer SET desired_revision = desired_revision + 1, version = version + 1 WHERE id = ANY($1);

-- load_balancer.remade
UPDATE load_balancer SET lifecycle = 'CREATING', failure = NULL, subnet_id = $2, address = $3::inet,
desired_revision = desired_revision + 1
WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id;

-- load_balancer.remove
DELETE FROM load_balancer WHERE id IN (SELECT id FROM load_balancer WHERE id = ANY($1) ORDER BY id FOR UPDATE)
RETURNING id, backend_id;

-- load_balancer_listener.find
SELECT load_balancer_id, port, member_port FROM load_balancer_listener WHERE load_balancer_id = ANY($1)
ORDER BY load_balancer_id, port;

-- load_balancer_member.crowded
SELECT load_balancer_id AS id FROM load_balancer_member WHERE load_balancer_id = ANY($1)
GROUP BY load_balancer_id HAVING count(*) > $2::int ORDER BY load_balancer_id;

-- load_balancer_member.delete
DELETE FROM load_balancer_member AS m USING unnest($1::text[], $2::text[]) AS g (load_balancer_id, port_id)
WHERE m.load_balancer_id = g.load_balancer_id AND m.port_id = g.port_id;

-- load_balancer_member.find
SELECT m.load_balancer_id, m.port_id, host(p.address) AS address, p.owner_id
FROM load_balancer_member AS m JOIN port AS p ON p.id = m.port_id
WHERE m.load_balancer_id = ANY($1) ORDER BY m.load_balancer_id, m.port_id;

-- load_balancer_member.insert
INSERT INTO load_balancer_member (load_balancer_id, port_id)
SELECT m.load_balancer_id, m.port_id FROM unnest($1::text[], $2::text[]) AS m (load_balancer_id, port_id)
JOIN port AS p ON p.id = m.port_id
ORDER BY m.load_balancer_id, m.port_id
ON CONFLICT (load_balancer_id, port_id) DO NOTHING;

-- machine_drift.backends
SELECT DISTINCT backend_id FROM virtual_machine WHERE lifecycle = 'PRESENT' ORDER BY backend_id LIMIT $1::int;

-- machine_drift.count
SELECT drift ->> 'code' AS code, count(*) AS count FROM virtual_machine WHERE drift IS NOT NULL GROUP BY 1 ORDER BY 1;

-- machine_drift.disks_to_put_right
SELECT d.id AS disk_id, m.id AS machine_id, d.tenant_id, d.project_id, d.backend_id, d.owner_id IS NOT DISTINCT FROM m.id AS is_missing
FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
CROSS JOIN LATERAL jsonb_array_elements_text((m.drift -> 'missingDiskIds') || (m.drift -> 'surplusDiskIds')) AS differs (id)
JOIN disk AS d ON d.id = differs.id AND d.lifecycle = 'PRESENT' AND d.image_reference IS NULL
WHERE m.lifecycle = 'PRESENT' AND m.drift ->> 'code' = 'DISKS_DIFFER' AND m.observed_power IN ('RUNNING', 'STOPPED') AND h.health = 'UP'
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id IN (m.id, d.id))
AND NOT EXISTS (
SELECT FROM operation AS o WHERE o.resource_id = d.id AND o.origin = 'RECONCILER' AND o.state = 'FAILED'
AND o.ended_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000))
ORDER BY m.id, d.id LIMIT $1::int;

-- machine_drift.machines
SELECT m.id, m.instance_id, m.revision, m.observed_power, m.observed_reason, m.drift, h.name AS host_name, m.cpu, m.memory_mib,
m.observed_power <> 'UNKNOWN' AND m.observed_at >= clock_timestamp() - make_interval(secs => $4::float8 / 1000) AS has_just_changed,
h.health_since >= clock_timestamp() - make_interval(secs => $5::float8 / 1000) AS has_host_returned,
coalesce(d.root_ids, '{}') AS root_disk_ids, coalesce(d.data_ids, '{}') AS data_disk_ids
FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
LEFT JOIN LATERAL (
SELECT array_agg(o.id) FILTER (WHERE o.attachment IS NULL) AS root_ids,
array_agg(o.id ORDER BY o.id) FILTER (WHERE o.attachment IS NOT NULL) AS data_ids
FROM disk AS o WHERE o.owner_id = m.id
) AS d ON true
WHERE m.backend_id = $1 AND m.instance_id > $2 AND m.lifecycle = 'PRESENT' AND h.health = 'UP'
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
ORDER BY m.instance_id LIMIT $3::int;

-- machine_drift.record
WITH seen AS (
SELECT m.id, s.power, s.reason, nullif(s.drift, 'null'::jsonb) AS drift
FROM jsonb_to_recordset($1::jsonb) AS s (id text, revision bigint, power text, reason text, drift jsonb)
JOIN virtual_machine AS m ON m.id = s.id AND m.revision = s.revision AND m.lifecycle = 'PRESENT'
WHERE NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
ORDER BY m.id FOR UPDATE OF m
)
UPDATE virtual_machine AS m SET observed_power = seen.power, observed_at = now(), observed_reason = seen.reason, drift = seen.drift
FROM seen WHERE m.id = seen.id RETURNING m.id;

-- machine_drift.to_put_right
SELECT m.id, m.tenant_id, m.project_id, m.backend_id, m.flavor_id, m.cpu, m.memory_mib
FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
WHERE m.lifecycle = 'PRESENT' AND m.drift ->> 'code' = 'SIZE_DIFFERS' AND m.observed_power = 'STOPPED' AND h.health = 'UP'
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
AND NOT EXISTS (
SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.origin = 'RECONCILER' AND o.state = 'FAILED'
AND o.ended_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000))
ORDER BY m.id LIMIT $1::int;

-- machine_drift.to_start
SELECT m.id, m.tenant_id, m.project_id, m.backend_id
FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
WHERE m.lifecycle = 'PRESENT' AND m.desired_power = 'RUNNING' AND m.observed_power = 'STOPPED'
AND h.health = 'UP' AND h.intent <> 'MAINTENANCE'
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
AND NOT EXISTS (
SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.kind = 'compute.virtual_machine.power' AND o.origin = 'RECONCILER'
AND o.ended_at > clock_timestamp() - make_interval(secs => CASE o.state WHEN 'FAILED' THEN $2::float8 ELSE $3::float8 END / 1000))
ORDER BY m.observed_at, m.id LIMIT $1::int;

-- machine_recovery.end
UPDATE virtual_machine SET successor_id = NULL, recovery_block = $2::jsonb,
drift = CASE WHEN $2::jsonb IS NULL THEN NULL ELSE drift END WHERE id = $1;

-- machine_recovery.give_back
UPDATE virtual_machine SET instance_id = $2, host_id = $3, rack_id = $4 WHERE id = $1;

-- machine_recovery.lock_wished
SELECT id FROM virtual_machine WHERE id = $1 AND recovery = 'RECREATE' FOR UPDATE;

-- machine_recovery.lost
SELECT m.id, m.revision, m.desired_power, m.recovery_block, h.health, h.fence,
(SELECT count(*) FROM disk AS d WHERE d.owner_id = m.id AND d.position > 0) AS data_disks,
EXISTS (
SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.kind = 'compute.virtual_machine.recreate' AND o.state = 'FAILED'
AND o.ended_at > clock_timestamp() - make_interval(secs => $3::float8 / 1000)) AS failed
FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
WHERE m.recovery = 'RECREATE' AND m.id > $1 AND m.lifecycle = 'PRESENT' AND (h.health <> 'UP' OR m.recovery_block IS NOT NULL)
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
ORDER BY m.id LIMIT $2::int;

-- machine_recovery.record
WITH judged AS (
SELECT m.id, nullif(j.block, 'null'::jsonb) AS block
FROM jsonb_to_recordset($1::jsonb) AS j (id text, revision bigint, block jsonb)
JOIN virtual_machine AS m ON m.id = j.id AND m.revision = j.revision
ORDER BY m.id FOR UPDATE OF m
)
UPDATE virtual_machine AS m SET recovery_block = judged.block FROM judged WHERE m.id = judged.id;

-- machine_recovery.take_over
WITH lost AS (SELECT id FROM host WHERE id = $2 AND health = 'DOWN' AND fence = 'PROVEN_OFF' FOR SHARE)
UPDATE virtual_machine AS m SET instance_id = $3, host_id = $4, rack_id = $5
FROM lost WHERE m.id = $1 AND m.recovery = 'RECREATE' RETURNING m.id;

-- metering.list.NEWEST#5e987d44
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t 
ORDER BY t.from_at DESC, t.id DESC LIMIT $9::int;

-- metering.list.NEWEST#6653080e
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t WHERE (t.from_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.from_at ASC, t.id ASC LIMIT $11::int;

-- metering.list.NEWEST#d666b981
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t WHERE (t.from_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.from_at DESC, t.id DESC LIMIT $11::int;

-- metering.list.NEWEST#da048401
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t 
ORDER BY t.from_at ASC, t.id ASC LIMIT $9::int;

-- metering.list.OLDEST#5e987d44
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t 
ORDER BY t.from_at DESC, t.id DESC LIMIT $9::int;

-- metering.list.OLDEST#6653080e
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t WHERE (t.from_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.from_at ASC, t.id ASC LIMIT $11::int;

-- metering.list.OLDEST#d666b981
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t WHERE (t.from_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.from_at DESC, t.id DESC LIMIT $11::int;

-- metering.list.OLDEST#da048401
SELECT t.*, t.from_at::text AS keyset_key FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t 
ORDER BY t.from_at ASC, t.id ASC LIMIT $9::int;

-- metering.list.count#750d6781
SELECT count(*) AS count FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS t;

-- metering.totals
SELECT m.project_id, m.resource_key, m.zone_id,
(sum(m.amount * greatest(0, extract(epoch FROM
least(coalesce(m.to_at, now()), $8::timestamptz, now()) - greatest(m.from_at, $7::timestamptz)))) / 3600)::float8 AS amount_hours
FROM (SELECT m.id, m.resource_id, m.resource_kind, m.resource_key, m.tenant_id, m.project_id, m.zone_id, m.amount, m.from_at, m.to_at
FROM metering_record AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND m.tenant_id = $4::text
AND ($5::text IS NULL OR m.project_id = $5::text) AND ($6::text IS NULL OR m.resource_key = $6::text) AND m.from_at < $8::timestamptz AND m.to_at > $7::timestamptz
UNION ALL
SELECT c.metering_id, c.resource_id, c.resource_kind, c.resource_key, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, NULL
FROM quota_charge AS c WHERE ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[])) AND c.tenant_id = $4::text
AND ($5::text IS NULL OR c.project_id = $5::text) AND ($6::text IS NULL OR c.resource_key = $6::text) AND c.charged_at < $8::timestamptz) AS m
GROUP BY 1, 2, 3 ORDER BY 1 NULLS FIRST, 2, 3 LIMIT 1000;

-- migrate.lock
SELECT pg_advisory_lock(hashtext('muon.migrate'));

-- migrate.unlock
SELECT pg_advisory_unlock(hashtext('muon.migrate'));

-- network.backends_of_zones
SELECT DISTINCT h.backend_id FROM host AS h JOIN backend AS b ON b.id = h.backend_id
WHERE h.zone_id = ANY($1) AND b.state = 'ACTIVE' AND b.capabilities @> '{"network": true}'
ORDER BY h.backend_id LIMIT 100;

-- network.count_in_scope
SELECT count(*) AS count FROM network WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- network.count_of_backend
SELECT count(*) AS count FROM network_backend WHERE backend_id = $1;

-- network.count_users
SELECT n.id AS network_id,
(SELECT count(*) FROM port AS p WHERE p.network_id = n.id) AS ports,
(SELECT count(*) FROM load_balancer AS l WHERE l.network_id = n.id) AS load_balancers,
(SELECT count(*) FROM router_network AS r WHERE r.network_id = n.id) AS routers
FROM unnest($1::text[]) AS n (id);

-- network.deletable_in_scope
SELECT id FROM network WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND lifecycle NOT IN ('PENDING_DELETE', 'DELETING') ORDER BY id LIMIT $3::int;

-- network.failed
WITH blocks AS (UPDATE subnet SET lifecycle = 'FAILED', failure = $2::jsonb WHERE network_id = $1 AND lifecycle = 'CREATING'),
spans AS (UPDATE network_backend SET realised_revision = 0 WHERE network_id = $1)
UPDATE network SET failure = $2::jsonb, lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
WHERE id = $1;

-- network.find
SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network WHERE id = ANY($1);

-- network.find_by_reference
SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network WHERE project_id = $1 AND (id = ANY($2) OR name = ANY($2));

-- network.find_visible
SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND n.id = ANY($4);

-- network.kept
UPDATE network SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- network.list.CREATED#71a23944
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- network.list.CREATED#90897e2a
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.created_at, t.id) < ($8::text::timestamptz, $9::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- network.list.CREATED#b2535d68
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.created_at, t.id) > ($8::text::timestamptz, $9::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- network.list.CREATED#c2209ae5
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- network.list.NAME#19999134
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- network.list.NAME#2d815e5f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.name, t.id) < ($8::text::text, $9::text)
ORDER BY t.name DESC, t.id DESC LIMIT $10::int;

-- network.list.NAME#75cd413a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.name, t.id) > ($8::text::text, $9::text)
ORDER BY t.name ASC, t.id ASC LIMIT $10::int;

-- network.list.NAME#a2670d7c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- network.list.NEWEST#71a23944
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- network.list.NEWEST#90897e2a
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.created_at, t.id) < ($8::text::timestamptz, $9::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- network.list.NEWEST#b2535d68
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t WHERE (t.created_at, t.id) > ($8::text::timestamptz, $9::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- network.list.NEWEST#c2209ae5
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- network.list.count#1346dab2
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
created_at, updated_at FROM network AS n
WHERE ($1::boolean OR n.tenant_id = ANY($2::text[]) OR n.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))) AS t;

-- network.list_in_scope
SELECT id, name FROM network WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- network.lock
SELECT id, name, lifecycle FROM network WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- network.made
WITH blocks AS (UPDATE subnet SET lifecycle = 'PRESENT' WHERE network_id = $1 AND lifecycle = 'CREATING')
UPDATE network SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- network.raise_revision
UPDATE network SET desired_revision = desired_revision + 1 WHERE id = ANY($1);

-- network.remade
WITH blocks AS (UPDATE subnet SET lifecycle = 'CREATING', failure = NULL WHERE network_id = $1 AND lifecycle = 'FAILED')
UPDATE network SET lifecycle = 'CREATING', failure = NULL WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id;

-- network.remove
WITH spans AS (DELETE FROM network_backend WHERE network_id = $1),
kept AS (DELETE FROM address_allocation AS a USING subnet AS s WHERE s.network_id = $1 AND a.subnet_id = s.id AND a.owner_id = s.id),
blocks AS (DELETE FROM subnet WHERE network_id = $1)
DELETE FROM network WHERE id = $1;

-- network.removing
UPDATE network SET lifecycle = 'DELETING' WHERE id = $1;

-- network.share
SELECT id, name, lifecycle FROM network WHERE id = ANY($1) ORDER BY id FOR SHARE;

-- network.users
SELECT id, 'PORT' AS kind, name, owner_id FROM port
WHERE network_id = $1 AND ($2::text IS NULL OR subnet_id = $2)
UNION ALL
SELECT id, 'LOAD_BALANCER', name, owner_id FROM load_balancer
WHERE network_id = $1 AND ($2::text IS NULL OR subnet_id = $2)
UNION ALL
SELECT r.id, 'ROUTER', r.name, r.owner_id FROM router AS r JOIN router_network AS n ON n.router_id = r.id
WHERE n.network_id = $1 AND $2::text IS NULL
ORDER BY id LIMIT $3::int;

-- network_backend.find
SELECT network_id, backend_id, realised_revision FROM network_backend WHERE network_id = ANY($1)
ORDER BY network_id, backend_id;

-- network_backend.mark_behind
UPDATE network_backend SET realised_revision = 0 WHERE network_id = ANY($1) AND backend_id = $2 AND realised_revision > 0;

-- network_backend.mark_realised
UPDATE network_backend AS b SET realised_revision = r.revision
FROM (
SELECT b.network_id, b.backend_id, n.revision FROM network_backend AS b
JOIN jsonb_to_recordset($1::jsonb) AS n ("networkId" text, "backendId" text, revision bigint)
ON n."networkId" = b.network_id AND n."backendId" = b.backend_id
WHERE b.realised_revision < n.revision
ORDER BY b.network_id, b.backend_id FOR UPDATE OF b
) AS r
WHERE b.network_id = r.network_id AND b.backend_id = r.backend_id AND b.realised_revision < r.revision;

-- network_backend.span
INSERT INTO network_backend (network_id, backend_id)
SELECT s.network_id, s.backend_id FROM unnest($1::text[], $2::text[]) AS s (network_id, backend_id)
ORDER BY s.network_id, s.backend_id
ON CONFLICT (network_id, backend_id) DO NOTHING;

-- network_drift.backends
SELECT DISTINCT backend_id FROM network_backend ORDER BY backend_id LIMIT $1::int;

-- network_drift.expected
SELECT * FROM (
(SELECT n.id, 'NETWORK' AS kind, n.id AS network_id, n.desired_revision, b.realised_revision
FROM network_backend AS b JOIN network AS n ON n.id = b.network_id
WHERE b.backend_id = $1 AND n.id > $2 AND b.realised_revision > 0 AND n.lifecycle = 'PRESENT' AND n.updated_at < $4
ORDER BY n.id LIMIT $3::int)
UNION ALL
(SELECT id, 'PORT', network_id, desired_revision, realised_revision FROM port
WHERE backend_id = $1 AND id > $2 AND realised_revision > 0 AND lifecycle = 'PRESENT' AND updated_at < $4
ORDER BY id LIMIT $3::int)
UNION ALL
(SELECT id, 'LOAD_BALANCER', network_id, desired_revision, realised_revision FROM load_balancer
WHERE backend_id = $1 AND id > $2 AND realised_revision > 0 AND lifecycle = 'PRESENT' AND updated_at < $4
ORDER BY id LIMIT $3::int)
) AS part ORDER BY id COLLATE "C" LIMIT $3::int;

-- network_drift.expected_groups
SELECT g.id, g.tenant_id, g.project_id, g.desired_revision, b.realised_revision
FROM security_group_backend AS b JOIN security_group AS g ON g.id = b.security_group_id
WHERE b.backend_id = $1 AND g.id > $2 AND b.realised_revision > 0 AND g.lifecycle = 'PRESENT' AND g.updated_at < $4
ORDER BY g.id LIMIT $3::int;

-- network_drift.overtake_external_network
UPDATE external_network SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_firewall
WITH next AS (UPDATE firewall SET last_revision = greatest(last_revision, $1::bigint) + 1 RETURNING last_revision AS revision)
INSERT INTO firewall_scope (tenant_id, changed_revision) SELECT '', next.revision FROM next
ON CONFLICT (tenant_id) DO UPDATE SET changed_revision = excluded.changed_revision, changed_at = now();

-- network_drift.overtake_floating_ip
UPDATE floating_ip SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_load_balancer
UPDATE load_balancer SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_network
UPDATE network SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_port
UPDATE port SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_provider_router
UPDATE provider_router SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_router
UPDATE router SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- network_drift.overtake_security_group
UPDATE security_group SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1;

-- node_pool.failed
UPDATE node_pool SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END, failure = $2::jsonb
WHERE id = $1;

-- node_pool.failed_with_cluster
UPDATE node_pool SET lifecycle = 'FAILED', failure = $2::jsonb WHERE cluster_id = $1 AND lifecycle = 'CREATING';

-- node_pool.find
SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool WHERE id = ANY($1);

-- node_pool.find_visible
SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND p.id = ANY($4);

-- node_pool.kept
UPDATE node_pool SET failure = coalesce($2::jsonb, failure),
lifecycle = CASE WHEN coalesce($2::jsonb, failure) IS NULL THEN 'PRESENT' ELSE 'FAILED' END
WHERE id = $1 AND lifecycle = 'DELETING';

-- node_pool.list.NAME#01ac8c6c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $6::int;

-- node_pool.list.NAME#3fd98dbd
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)) AS t WHERE (t.name, t.id) > ($6::text::text, $7::text)
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- node_pool.list.NAME#91030e87
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $6::int;

-- node_pool.list.NAME#ece7f27e
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)) AS t WHERE (t.name, t.id) < ($6::text::text, $7::text)
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- node_pool.list.count#82f9c692
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR cluster_id = $4) AND ($5::text IS NULL OR name = $5)) AS t;

-- node_pool.made
UPDATE node_pool SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- node_pool.made_with_cluster
UPDATE node_pool SET lifecycle = 'PRESENT', failure = NULL WHERE cluster_id = $1 AND lifecycle = 'CREATING';

-- node_pool.of_clusters
SELECT id, tenant_id, project_id, name, cluster_id, flavor_id, count, zone_ids, labels, lifecycle, failure, version, revision,
created_at, updated_at FROM node_pool WHERE cluster_id = ANY($1) ORDER BY cluster_id, name;

-- node_pool.remove
DELETE FROM node_pool WHERE id = $1;

-- node_pool.restore_count
UPDATE node_pool SET count = $2::int, version = version + 1 WHERE id = $1 AND count <> $2::int;

-- operation.abandon
UPDATE operation SET
abandonment = jsonb_build_object('at', clock_timestamp(), 'by', $2::text, 'reason', $3::text),
wake_at = clock_timestamp()
WHERE id = $1 AND state = 'STUCK' RETURNING id;

-- operation.blockers
WITH RECURSIVE tree AS (
SELECT o.id AS top, o.id, 0 AS depth FROM operation AS o WHERE o.id = ANY ($1)
UNION
SELECT tree.top, next.id, tree.depth + 1 FROM tree CROSS JOIN LATERAL (
SELECT c.id FROM operation AS c WHERE c.parent_id = tree.id AND c.ended_at IS NULL
UNION ALL
SELECT l.root_operation_id FROM resource_lock AS l WHERE l.successor_operation_id = tree.id
) AS next WHERE tree.depth < 12
), ranked AS (
SELECT tree.top, o.*, row_number() OVER (PARTITION BY tree.top ORDER BY o.blocker ->> 'since', o.id) AS place
FROM tree JOIN operation AS o ON o.id = tree.id
WHERE o.blocker IS NOT NULL AND o.ended_at IS NULL
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.successor_operation_id = o.id)
)
SELECT r.top AS top_id, r.id AS operation_id, r.kind, r.resource_kind, r.resource_id, r.tenant_id, r.project_id, r.state, r.blocker,
asked.kind AS top_kind, asked.resource_id AS top_resource_id
FROM ranked AS r JOIN operation AS asked ON asked.id = r.top WHERE r.place <= 20 ORDER BY r.top, r.place;

-- operation.child_ended
UPDATE operation SET
pending_children = pending_children - 1,
wake_at = CASE WHEN pending_children = 1 THEN clock_timestamp() ELSE wake_at END,
deadline_at = CASE WHEN pending_children = 1
THEN deadline_at + (clock_timestamp() - (fan_out ->> 'since')::timestamptz) ELSE deadline_at END
WHERE id = $1
RETURNING pending_children, fan_out;

-- operation.children
SELECT c.id, c.kind, c.resource_kind, c.resource_id, c.input, c.state, c.error, c.compensates_id,
coalesce(s.outputs, '{}'::jsonb) AS outputs
FROM operation AS c
LEFT JOIN LATERAL (
SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
FROM operation_step AS s WHERE s.operation_id = c.id AND s.attempt = c.attempt AND s.state = 'DONE'
) AS s ON true
WHERE c.parent_id = $1 AND c.parent_attempt = $2 AND c.parent_step = $3 AND (c.compensates_id IS NOT NULL) = $4
ORDER BY c.ended_at, c.id;

-- operation.claim
SELECT id, fence FROM operation_claim($1, $2, $3::int, $4::int, $5::int, $6::jsonb);

-- operation.count_unfinished
SELECT kind, state, count(*) AS count FROM operation WHERE ended_at IS NULL GROUP BY kind, state ORDER BY kind, state;

-- operation.failed_children
SELECT DISTINCT ON (c.resource_id) c.id, c.resource_id, c.error, c.abandonment IS NOT NULL AS abandoned FROM operation AS c
WHERE c.parent_id = $1 AND c.resource_id = ANY ($2) AND c.state = 'FAILED' ORDER BY c.resource_id, c.id DESC;

-- operation.find
SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o WHERE o.id = ANY ($1);

-- operation.find_attempts
SELECT operation_id, attempt, state, error, principal_id, queued_at, started_at, ended_at
FROM operation_attempt WHERE operation_id = ANY ($1) ORDER BY operation_id, attempt;

-- operation.find_holding
SELECT l.resource_id AS held_resource_id, o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM resource_lock AS l JOIN operation AS o ON o.id = l.operation_id
WHERE l.resource_id = ANY ($1);

-- operation.find_latest
SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM unnest($1::text[]) AS r (id) CROSS JOIN LATERAL (
SELECT l.* FROM operation AS l WHERE l.resource_id = r.id ORDER BY l.id DESC LIMIT 1
) AS o;

-- operation.find_steps
SELECT operation_id, attempt, index, name, state, tries, output, error, started_at, ended_at
FROM operation_step WHERE operation_id = ANY ($1) ORDER BY operation_id, attempt, index;

-- operation.for_command
SELECT id, kind, handler, state, direction, attempt, parent_id, root_id, tenant_id, project_id, pivot_passed,
pivot_index, step_names, error, abandonment FROM operation WHERE id = $1;

-- operation.for_retry
SELECT id, kind, input, resource_kind AS "resourceKind", resource_id AS "resourceId", tenant_id AS "tenantId",
project_id AS "projectId", root_id AS "rootId", parent_id AS "parentId", backend_id AS "backendId", origin,
principal_id AS "principalId", request_id AS "requestId"
FROM operation WHERE id = $1;

-- operation.held_of_scope
SELECT id, kind, resource_id, state, blocker FROM operation
WHERE ended_at IS NULL AND blocker IS NOT NULL AND tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND id <> $3
AND (state = 'STUCK' OR blocker->>'code' <> 'RESOURCE_BUSY')
ORDER BY (state = 'STUCK') DESC, blocker->>'since', id LIMIT $4::int;

-- operation.hopeful_children
SELECT count(*) FILTER (WHERE c.state NOT IN ('FAILED', 'CANCELLED')) AS hopeful
FROM operation AS self
JOIN operation AS c ON c.parent_id = self.parent_id AND c.parent_attempt = self.parent_attempt
AND c.parent_step = self.parent_step AND c.compensates_id IS NULL
WHERE self.id = $1;

-- operation.list.NEWEST#527635fd
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t WHERE (t.id, t.id) < ($11::text::text, $12::text)
ORDER BY t.id DESC, t.id DESC LIMIT $13::int;

-- operation.list.NEWEST#7202f020
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t 
ORDER BY t.id ASC, t.id ASC LIMIT $11::int;

-- operation.list.NEWEST#958155b6
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t WHERE (t.id, t.id) > ($11::text::text, $12::text)
ORDER BY t.id ASC, t.id ASC LIMIT $13::int;

-- operation.list.NEWEST#d4d01ba5
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t 
ORDER BY t.id DESC, t.id DESC LIMIT $11::int;

-- operation.list.OLDEST#527635fd
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t WHERE (t.id, t.id) < ($11::text::text, $12::text)
ORDER BY t.id DESC, t.id DESC LIMIT $13::int;

-- operation.list.OLDEST#7202f020
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t 
ORDER BY t.id ASC, t.id ASC LIMIT $11::int;

-- operation.list.OLDEST#958155b6
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t WHERE (t.id, t.id) > ($11::text::text, $12::text)
ORDER BY t.id ASC, t.id ASC LIMIT $13::int;

-- operation.list.OLDEST#d4d01ba5
SELECT t.*, t.id::text AS keyset_key FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t 
ORDER BY t.id DESC, t.id DESC LIMIT $11::int;

-- operation.list.count#536c86d3
SELECT count(*) AS count FROM (SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at FROM operation AS o
WHERE ($1::boolean OR o.tenant_id = ANY($2::text[]) OR o.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR o.tenant_id = $4) AND ($5::text IS NULL OR o.project_id = $5)
AND ($6::text IS NULL OR o.resource_id = $6) AND ($7::text IS NULL OR o.kind = $7)
AND ($8::text[] IS NULL OR o.state = ANY ($8)) AND ($9::boolean OR $10::text IS NOT NULL OR o.parent_id IS NULL)
AND ($10::text IS NULL OR o.parent_id = $10 AND o.parent_attempt = (SELECT p.attempt FROM operation AS p WHERE p.id = $10))) AS t;

-- operation.load
SELECT o.id, o.kind, o.handler, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.backend_id, o.origin, o.principal_id, o.request_id, o.input, o.step_names, o.pivot_index, o.state, o.attempt,
o.direction, o.step_index, o.pivot_passed, o.cancel_requested_at IS NOT NULL AS cancel_requested, o.fence,
(extract(epoch FROM o.deadline_at - clock_timestamp()) * 1000)::bigint AS deadline_remaining_ms,
o.fan_out, o.blocker, o.error, o.not_restored, o.abandonment,
o.parent_id IS NULL OR EXISTS (SELECT FROM resource_lock AS l WHERE l.root_operation_id = o.id) AS holds_locks,
coalesce(own.steps, '[]'::jsonb) AS steps, coalesce(up.outputs, '{}'::jsonb) AS parent_outputs
FROM operation AS o
LEFT JOIN LATERAL (
SELECT jsonb_agg(jsonb_build_object('index', s.index, 'name', s.name, 'state', s.state, 'tries', s.tries, 'memo', s.memo,
'output', s.output, 'error', s.error, 'since', coalesce(s.since, s.started_at))) AS steps
FROM operation_step AS s WHERE s.operation_id = o.id AND s.attempt = o.attempt
) AS own ON true
LEFT JOIN LATERAL (
SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
FROM operation_step AS s WHERE s.operation_id = o.parent_id AND s.attempt = o.parent_attempt AND s.state = 'DONE'
) AS up ON true
WHERE o.id = ANY ($1) AND o.lease_owner = $2;

-- operation.lock
SELECT id FROM operation WHERE id = $1 FOR UPDATE;

-- operation.lock_for_command
SELECT id, kind, handler, state, direction, attempt, parent_id, root_id, tenant_id, project_id, pivot_passed,
pivot_index, step_names, error, abandonment FROM operation WHERE id = $1 FOR UPDATE;

-- operation.lock_held
SELECT cancel_requested_at IS NOT NULL AS cancel_requested FROM operation
WHERE id = $1 AND lease_owner = $2 AND fence = $3 FOR UPDATE;

-- operation.lock_many
SELECT id FROM operation WHERE id = ANY ($1) ORDER BY id FOR UPDATE;

-- operation.move
WITH patch AS (
SELECT * FROM jsonb_to_record($4::jsonb) AS p (
state text, direction text, step_index int, steps_done int, pivot_passed boolean, pending_children int, fan_out jsonb,
blocker jsonb, error jsonb, leftovers jsonb, not_restored jsonb, wake_signal text, release boolean, wake_after_ms bigint, ended boolean,
heed_cancel boolean, lease_ms int, steps jsonb)
), moved AS (
UPDATE operation AS o SET
state = p.state, direction = p.direction, step_index = p.step_index, steps_done = p.steps_done,
pivot_passed = p.pivot_passed, pending_children = p.pending_children, fan_out = p.fan_out, blocker = p.blocker,
error = p.error, not_restored = p.not_restored, wake_signal = p.wake_signal,
abandonment = CASE WHEN p.leftovers IS NULL THEN o.abandonment
ELSE o.abandonment || jsonb_build_object('leftovers', p.leftovers) END,
ended_at = CASE WHEN p.ended THEN clock_timestamp() END,
lease_owner = CASE WHEN p.release THEN NULL ELSE o.lease_owner END,
lease_until = CASE WHEN p.release THEN NULL ELSE clock_timestamp() + p.lease_ms * interval '1 millisecond' END,
wake_at = CASE WHEN p.release THEN clock_timestamp() + p.wake_after_ms * interval '1 millisecond' ELSE o.wake_at END
FROM patch AS p
WHERE o.id = $1 AND o.lease_owner = $2 AND o.fence = $3 AND NOT (p.heed_cancel AND o.cancel_requested_at IS NOT NULL)
RETURNING o.id, o.attempt
), steps AS (
INSERT INTO operation_step (operation_id, attempt, index, name, state, tries, memo, output, error, started_at, since, ended_at)
SELECT moved.id, moved.attempt, s.index, s.name, s.state, s.tries, s.memo, s.output, s.error, clock_timestamp(),
CASE WHEN s.begins THEN clock_timestamp() END, CASE WHEN s.ends THEN clock_timestamp() END
FROM moved, patch, jsonb_to_recordset(patch.steps) AS s (
index int, name text, state text, tries int, memo jsonb, output jsonb, error jsonb, begins boolean, ends boolean)
ON CONFLICT (operation_id, attempt, index) DO UPDATE SET
state = EXCLUDED.state, tries = EXCLUDED.tries, memo = EXCLUDED.memo, output = EXCLUDED.output, error = EXCLUDED.error,
since = coalesce(EXCLUDED.since, operation_step.since), ended_at = coalesce(EXCLUDED.ended_at, operation_step.ended_at)
)
SELECT attempt FROM moved;

-- operation.progress
WITH RECURSIVE tree AS (
SELECT o.id AS top, o.id, o.attempt, o.step_index, o.steps_done, cardinality(o.step_names) AS known, 1::float8 AS weight
FROM operation AS o WHERE o.id = ANY ($1)
UNION ALL
SELECT tree.top, c.id, c.attempt, c.step_index, c.steps_done, cardinality(c.step_names),
CASE WHEN c.parent_step = tree.step_index
THEN tree.weight / tree.known / count(*) OVER (PARTITION BY tree.top, c.parent_id, c.parent_step) ELSE 0 END
FROM tree JOIN operation AS c ON c.parent_id = tree.id AND c.parent_attempt = tree.attempt AND c.compensates_id IS NULL
AND c.state NOT IN ('FAILED', 'CANCELLED')
)
SELECT top AS id, sum(steps_done)::int AS steps_done, sum(known)::int AS steps_known,
sum(weight * steps_done / greatest(known, 1)) AS fraction
FROM tree GROUP BY top;

-- operation.prune
WITH RECURSIVE tree AS (
(SELECT o.id FROM operation AS o
WHERE o.parent_id IS NULL AND o.ended_at < $1
AND EXISTS (SELECT FROM operation AS n WHERE n.resource_id = o.resource_id AND n.id > o.id AND n.parent_id IS NULL)
ORDER BY o.id LIMIT $2::int)
UNION ALL
SELECT c.id FROM tree JOIN operation AS c ON c.parent_id = tree.id
), steps AS (
DELETE FROM operation_step USING tree WHERE operation_step.operation_id = tree.id
), attempts AS (
DELETE FROM operation_attempt USING tree WHERE operation_attempt.operation_id = tree.id
), gone AS (
DELETE FROM operation USING tree WHERE operation.id = tree.id RETURNING operation.parent_id
)
SELECT count(*) FILTER (WHERE parent_id IS NULL) AS removed FROM gone;

-- operation.queue_age
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(wake_at)), 0)::float8 AS age_seconds, count(*) AS ready
FROM operation WHERE wake_at <= clock_timestamp() AND lease_owner IS NULL;

-- operation.release
UPDATE operation AS o SET lease_owner = NULL, lease_until = NULL, wake_at = least(o.wake_at, clock_timestamp())
FROM unnest($1::text[], $2::bigint[]) AS w (id, fence)
WHERE o.id = w.id AND o.fence = w.fence AND o.lease_owner = $3;

-- operation.renew
WITH wanted AS (
SELECT * FROM unnest($1::text[], $2::bigint[]) AS w (id, fence)
), mine AS (
SELECT o.id FROM operation AS o JOIN wanted ON wanted.id = o.id AND wanted.fence = o.fence
WHERE o.lease_owner = $3 ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
), renewed AS (
UPDATE operation AS o SET lease_until = clock_timestamp() + $4::int * interval '1 millisecond'
FROM mine WHERE o.id = mine.id RETURNING o.id
)
SELECT wanted.id, renewed.id IS NOT NULL AS renewed,
(o.fence <> wanted.fence OR o.lease_owner IS DISTINCT FROM $3) AS lost,
o.cancel_requested_at IS NOT NULL AS cancel_requested
FROM wanted JOIN operation AS o ON o.id = wanted.id LEFT JOIN renewed ON renewed.id = wanted.id;

-- operation.request_cancel
WITH RECURSIVE tree AS (
SELECT id FROM operation WHERE id = ANY ($1)
UNION
SELECT c.id FROM tree JOIN operation AS c ON c.parent_id = tree.id
WHERE c.ended_at IS NULL AND c.compensates_id IS NULL
), locked AS (
SELECT o.id FROM operation AS o
WHERE o.id IN (SELECT id FROM tree) AND o.ended_at IS NULL ORDER BY o.id FOR UPDATE
)
UPDATE operation AS o SET
cancel_requested_at = clock_timestamp(), cancel_requested_by = $2,
wake_at = CASE WHEN o.lease_owner IS NOT NULL OR o.pending_children > 0 THEN o.wake_at
ELSE least(o.wake_at, clock_timestamp()) END
FROM locked
WHERE o.id = locked.id AND o.cancel_requested_at IS NULL AND NOT o.pivot_passed AND o.direction = 'FORWARD'
AND o.state IN ('QUEUED', 'RUNNING', 'WAITING')
RETURNING o.id;

-- operation.resume
UPDATE operation SET
state = CASE direction WHEN 'UNDO' THEN 'UNDOING' ELSE 'WAITING' END,
blocker = NULL, wake_at = clock_timestamp()
WHERE id = $1 AND state = 'STUCK' RETURNING id;

-- operation.signal
UPDATE operation SET wake_at = least(wake_at, clock_timestamp()), wake_signal = NULL
WHERE wake_signal = ANY ($1) AND lease_owner IS NULL AND wake_at IS NOT NULL RETURNING id;

-- operation.start_attempt
WITH failed AS (
SELECT * FROM operation WHERE id = $1 AND attempt = $2 AND state = 'FAILED' FOR UPDATE
), kept AS (
INSERT INTO operation_attempt (operation_id, attempt, state, error, principal_id, queued_at, started_at, ended_at)
SELECT id, attempt, state, error, principal_id, queued_at, started_at, ended_at FROM failed
), done AS (
SELECT s.* FROM failed JOIN operation_step AS s ON s.operation_id = failed.id AND s.attempt = failed.attempt
WHERE s.state = 'DONE' AND s.index < (
SELECT coalesce(min(n.index), 0) FROM generate_series(0, cardinality(failed.step_names)) AS n (index)
WHERE NOT EXISTS (SELECT FROM operation_step AS d WHERE d.operation_id = failed.id AND d.attempt = failed.attempt
AND d.index = n.index AND d.state = 'DONE'))
), copied AS (
INSERT INTO operation_step (operation_id, attempt, index, name, state, tries, output, started_at, since, ended_at)
SELECT operation_id, attempt + 1, index, name, state, tries, output, started_at, since, ended_at FROM done
)
UPDATE operation AS o SET
attempt = o.attempt + 1, state = 'QUEUED', direction = 'FORWARD', turn = 1,
step_index = (SELECT count(*) FROM done), steps_done = (SELECT count(*) FROM done),
pivot_passed = false, cancel_requested_at = NULL, cancel_requested_by = NULL, fan_out = NULL, blocker = NULL, error = NULL,
not_restored = '[]', abandonment = NULL, deadline_at = NULL, started_at = NULL, ended_at = NULL,
queued_at = clock_timestamp(), wake_at = clock_timestamp(),
principal_id = $3, request_id = $4
FROM failed WHERE o.id = failed.id RETURNING o.id;

-- operation.step_times
SELECT k.kind, s.name, (avg(extract(epoch FROM s.ended_at - s.started_at)) * 1000)::float8 AS ms
FROM unnest($1::text[]) AS k (kind) CROSS JOIN LATERAL (
SELECT o.id, o.attempt FROM operation AS o WHERE o.kind = k.kind AND o.state = 'SUCCEEDED' ORDER BY o.ended_at DESC LIMIT 50
) AS past
JOIN operation_step AS s ON s.operation_id = past.id AND s.attempt = past.attempt AND s.state = 'DONE' AND s.ended_at IS NOT NULL
GROUP BY k.kind, s.name;

-- operation.uncompensated
SELECT c.id, c.kind, c.resource_kind, c.resource_id, c.input, c.state, c.error, c.compensates_id,
coalesce(s.outputs, '{}'::jsonb) AS outputs
FROM operation AS c
LEFT JOIN LATERAL (
SELECT jsonb_object_agg(s.name, s.output) FILTER (WHERE s.output IS NOT NULL) AS outputs
FROM operation_step AS s WHERE s.operation_id = c.id AND s.attempt = c.attempt AND s.state = 'DONE'
) AS s ON true
WHERE c.parent_id = $1 AND c.parent_attempt = $2 AND c.parent_step = $3
AND c.compensates_id IS NULL AND c.state = 'SUCCEEDED'
AND NOT EXISTS (
SELECT FROM operation AS back
WHERE back.parent_id = c.parent_id AND back.compensates_id = c.id AND back.state = 'SUCCEEDED')
ORDER BY c.id;

-- operation.unfinished_siblings
SELECT c.id FROM operation AS self
JOIN operation AS c ON c.parent_id = self.parent_id AND c.parent_attempt = self.parent_attempt
AND c.parent_step = self.parent_step AND c.compensates_id IS NULL
WHERE self.id = $1 AND c.ended_at IS NULL ORDER BY c.id;

-- operation.unserved
SELECT handler, count(*) AS count FROM operation
WHERE ended_at IS NULL AND handler <> ALL ($1) GROUP BY handler ORDER BY handler LIMIT 100;

-- operation.visible_children
SELECT o.id, o.kind, o.kind_version, o.resource_kind, o.resource_id, o.tenant_id, o.project_id, o.root_id, o.parent_id,
o.origin, o.principal_id, o.request_id, o.state, o.attempt, o.direction, o.step_index, o.step_names, o.steps_done,
o.pivot_passed, o.pending_children, o.cancel_requested_at, o.cancel_requested_by, o.wake_at, o.deadline_at, o.blocker,
o.error, o.not_restored, o.abandonment, o.queued_at, o.started_at, o.ended_at, o.revision, o.created_at, o.updated_at, o.siblings FROM operation AS parent CROSS JOIN LATERAL (
SELECT c.*, count(*) OVER () AS siblings FROM operation AS c
WHERE c.parent_id = parent.id AND c.parent_attempt = parent.attempt AND ($1::boolean OR c.tenant_id = ANY($2::text[]) OR c.project_id = ANY($3::text[]))
ORDER BY c.id LIMIT $5::int
) AS o
WHERE parent.id = ANY ($4) ORDER BY o.parent_id, o.id;

-- operation.who_holds
SELECT lease_owner IS NOT DISTINCT FROM $2 AND fence = $3 AS mine, cancel_requested_at IS NOT NULL AS cancel_requested
FROM operation WHERE id = $1;

-- pause.find
SELECT id, mutations, operations, message, since, version FROM system_pause;

-- placement.active_zones
SELECT id FROM zone WHERE state = 'ACTIVE' ORDER BY id LIMIT 50;

-- placement.audit
WITH hosts AS (
SELECT h.host_id, h.cpu_claimed, h.memory_claimed_mib, coalesce(s.cpu, 0) AS cpu, coalesce(s.memory, 0) AS memory
FROM host_capacity AS h
LEFT JOIN (SELECT host_id, sum(cpu)::bigint AS cpu, sum(memory_mib)::bigint AS memory FROM host_claim GROUP BY host_id) AS s
USING (host_id)
), datastores AS (
SELECT d.datastore_id, d.claimed_gib, coalesce(s.gib, 0) AS gib
FROM datastore_capacity AS d
LEFT JOIN (SELECT datastore_id, sum(gib)::bigint AS gib FROM datastore_claim GROUP BY datastore_id) AS s USING (datastore_id)
)
SELECT 'HOST' AS kind, host_id AS holder_id, 'CPU' AS resource, cpu_claimed AS counted, cpu AS claimed
FROM hosts WHERE cpu_claimed <> cpu
UNION ALL
SELECT 'HOST', host_id, 'MEMORY_MIB', memory_claimed_mib, memory FROM hosts WHERE memory_claimed_mib <> memory
UNION ALL
SELECT 'DATASTORE', datastore_id, 'DISK_GIB', claimed_gib, gib FROM datastores WHERE claimed_gib <> gib
ORDER BY holder_id, resource LIMIT 1000;

-- placement.candidates
WITH usable AS (SELECT array_agg(id) AS backends FROM backend WHERE state = 'ACTIVE')
SELECT d.class, best.*
FROM jsonb_to_recordset($1::jsonb) AS d (class int, zones text[], asked_zones text[], cpu bigint, memory bigint, disk bigint, kind text,
offers text[], traits text[], backends text[], only_hosts text[], only_racks text[], not_hosts text[], not_racks text[], excluded text[],
near_hosts text[], near_racks text[], far_hosts text[], far_racks text[], pack boolean) CROSS JOIN usable JOIN zone ON zone.id = ANY (d.zones) AND zone.state = 'ACTIVE'
CROSS JOIN LATERAL (
SELECT h.host_id, h.host_name, h.backend_id, h.zone_id, h.rack_id, h.cpu_limit, h.memory_limit_mib, h.cpu_claimed,
h.memory_claimed_mib
FROM host_capacity AS h
CROSS JOIN LATERAL (
SELECT (h.cpu_claimed + d.cpu)::float8 / greatest(h.cpu_limit, 1) AS cpu,
(h.memory_claimed_mib + d.memory)::float8 / greatest(h.memory_limit_mib, 1) AS memory
) AS share
WHERE h.zone_id = zone.id AND h.state = 'ACTIVE' AND h.cpu_claimed + d.cpu <= h.cpu_limit AND h.memory_claimed_mib + d.memory <= h.memory_limit_mib AND (d.traits = '{}' OR h.traits @> d.traits)
AND h.backend_id = ANY (usable.backends) AND (d.backends IS NULL OR h.backend_id = ANY (d.backends)) AND h.host_id <> ALL (d.excluded) AND ((d.only_hosts IS NULL OR h.host_id = ANY (d.only_hosts)) AND (d.only_racks IS NULL OR coalesce(h.rack_id, h.zone_id) = ANY (d.only_racks))
AND h.host_id <> ALL (d.not_hosts) AND coalesce(h.rack_id, h.zone_id) <> ALL (d.not_racks) AND h.zone_id = ANY (d.zones)) AND (d.disk = 0 OR EXISTS (SELECT FROM datastore_capacity AS s WHERE s.host_id = h.host_id AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers)) AND s.claimed_gib + d.disk <= s.limit_gib)
OR EXISTS (SELECT FROM datastore_capacity AS s WHERE (s.host_id IS NULL AND s.backend_id = h.backend_id AND (s.zone_id IS NULL OR s.zone_id = h.zone_id)) AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers)) AND s.claimed_gib + d.disk <= s.limit_gib))
ORDER BY
(h.host_id = ANY (d.far_hosts))::int + (coalesce(h.rack_id, h.zone_id) = ANY (d.far_racks))::int
+ (d.near_hosts IS NOT NULL AND h.host_id <> ALL (d.near_hosts))::int
+ (d.near_racks IS NOT NULL AND coalesce(h.rack_id, h.zone_id) <> ALL (d.near_racks))::int,
CASE WHEN d.pack THEN -(share.cpu + share.memory) / 2 ELSE greatest(share.cpu, share.memory) END
+ 0.25 * abs(share.cpu - share.memory) + random() * 0.02
LIMIT $2::int
) AS best;

-- placement.domains
SELECT h.host_id, coalesce(h.rack_id, h.zone_id) AS rack_domain, h.zone_id FROM host_capacity AS h WHERE h.host_id = ANY ($1);

-- placement.explain
SELECT filter, count(*) AS hosts FROM (
SELECT h.host_id, h.host_name,
CASE WHEN NOT (h.zone_id = ANY(d.asked_zones) AND h.zone_id IN (SELECT id FROM zone WHERE state = 'ACTIVE')) THEN 'ZONE' WHEN NOT (h.state = 'ACTIVE' AND h.backend_id IN (SELECT id FROM backend WHERE state = 'ACTIVE')) THEN 'STATE' WHEN NOT h.host_id <> ALL (d.excluded) THEN 'EXCLUDED'
WHEN NOT (d.backends IS NULL OR h.backend_id = ANY (d.backends)) THEN 'NETWORK' WHEN NOT (d.traits = '{}' OR h.traits @> d.traits) THEN 'TRAITS' WHEN NOT ((d.only_hosts IS NULL OR h.host_id = ANY (d.only_hosts)) AND (d.only_racks IS NULL OR coalesce(h.rack_id, h.zone_id) = ANY (d.only_racks))
AND h.host_id <> ALL (d.not_hosts) AND coalesce(h.rack_id, h.zone_id) <> ALL (d.not_racks) AND h.zone_id = ANY (d.zones)) THEN 'AFFINITY'
WHEN NOT h.cpu_claimed + d.cpu <= h.cpu_limit THEN 'CPU' WHEN NOT h.memory_claimed_mib + d.memory <= h.memory_limit_mib THEN 'MEMORY' WHEN NOT (d.disk = 0 OR EXISTS (SELECT FROM datastore_capacity AS s WHERE s.host_id = h.host_id AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers)) AND s.claimed_gib + d.disk <= s.limit_gib)
OR EXISTS (SELECT FROM datastore_capacity AS s WHERE (s.host_id IS NULL AND s.backend_id = h.backend_id AND (s.zone_id IS NULL OR s.zone_id = h.zone_id)) AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers)) AND s.claimed_gib + d.disk <= s.limit_gib)) THEN 'DATASTORE'
END AS filter FROM jsonb_to_recordset($1::jsonb) AS d (class int, zones text[], asked_zones text[], cpu bigint, memory bigint, disk bigint, kind text,
offers text[], traits text[], backends text[], only_hosts text[], only_racks text[], not_hosts text[], not_racks text[], excluded text[],
near_hosts text[], near_racks text[], far_hosts text[], far_racks text[], pack boolean) CROSS JOIN host_capacity AS h) AS judged GROUP BY filter;

-- placement.nearest
WITH size AS MATERIALIZED (
SELECT h.host_id, h.host_name, d.cpu, d.memory, d.disk, h.cpu_limit - h.cpu_claimed AS cpu_free,
h.memory_limit_mib - h.memory_claimed_mib AS memory_free,
CASE WHEN d.disk = 0 THEN 0 ELSE greatest(
(SELECT max(s.limit_gib - s.claimed_gib) FROM datastore_capacity AS s
WHERE s.host_id = h.host_id AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers))),
(SELECT max(s.limit_gib - s.claimed_gib) FROM datastore_capacity AS s
WHERE (s.host_id IS NULL AND s.backend_id = h.backend_id AND (s.zone_id IS NULL OR s.zone_id = h.zone_id)) AND s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers))), 0) END AS disk_free
FROM jsonb_to_recordset($1::jsonb) AS d (class int, zones text[], asked_zones text[], cpu bigint, memory bigint, disk bigint, kind text,
offers text[], traits text[], backends text[], only_hosts text[], only_racks text[], not_hosts text[], not_racks text[], excluded text[],
near_hosts text[], near_racks text[], far_hosts text[], far_racks text[], pack boolean) CROSS JOIN host_capacity AS h
WHERE (h.zone_id = ANY(d.asked_zones) AND h.zone_id IN (SELECT id FROM zone WHERE state = 'ACTIVE')) AND (h.state = 'ACTIVE' AND h.backend_id IN (SELECT id FROM backend WHERE state = 'ACTIVE')) AND h.host_id <> ALL (d.excluded) AND (d.backends IS NULL OR h.backend_id = ANY (d.backends)) AND (d.traits = '{}' OR h.traits @> d.traits) AND ((d.only_hosts IS NULL OR h.host_id = ANY (d.only_hosts)) AND (d.only_racks IS NULL OR coalesce(h.rack_id, h.zone_id) = ANY (d.only_racks))
AND h.host_id <> ALL (d.not_hosts) AND coalesce(h.rack_id, h.zone_id) <> ALL (d.not_racks) AND h.zone_id = ANY (d.zones))
)
SELECT * FROM size WHERE cpu > cpu_free OR memory > memory_free OR disk > disk_free
ORDER BY greatest(cpu - cpu_free, 0)::float8 / greatest(cpu, 1) + greatest(memory - memory_free, 0)::float8 / greatest(memory, 1)
+ greatest(disk - disk_free, 0)::float8 / greatest(disk, 1), host_id
LIMIT 1;

-- placement.pools
SELECT datastore_id, backend_id, zone_id, host_id, kind, offer, limit_gib, claimed_gib FROM datastore_capacity WHERE host_id = ANY ($1) AND state = 'ACTIVE'
UNION ALL
SELECT datastore_id, backend_id, zone_id, host_id, kind, offer, limit_gib, claimed_gib FROM datastore_capacity WHERE host_id IS NULL AND backend_id = ANY ($2) AND state = 'ACTIVE';

-- port.count_in_scope
SELECT count(*) AS count FROM port WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- port.find
SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port WHERE id = ANY($1) ORDER BY id;

-- port.find_visible
SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND p.id = ANY($4);

-- port.list.CREATED#19add616
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- port.list.CREATED#1f271cb1
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t WHERE (t.created_at, t.id) > ($10::text::timestamptz, $11::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $12::int;

-- port.list.CREATED#5b5074b9
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t WHERE (t.created_at, t.id) < ($10::text::timestamptz, $11::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $12::int;

-- port.list.CREATED#d4785802
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- port.list.NAME#0fe8062c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $10::int;

-- port.list.NAME#14d1bda0
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t WHERE (t.name, t.id) > ($10::text::text, $11::text)
ORDER BY t.name ASC, t.id ASC LIMIT $12::int;

-- port.list.NAME#1faf31c7
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $10::int;

-- port.list.NAME#24112066
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t WHERE (t.name, t.id) < ($10::text::text, $11::text)
ORDER BY t.name DESC, t.id DESC LIMIT $12::int;

-- port.list.count#55927ada
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port AS p
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
AND ($9::text IS NULL OR EXISTS (
SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))) AS t;

-- port.list_in_scope
SELECT id, name FROM port WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- port.lock
SELECT id, backend_id FROM port WHERE id = ANY($1) AND lifecycle = 'PRESENT' ORDER BY id FOR UPDATE;

-- port.mark_behind
UPDATE port SET realised_revision = 0 WHERE id = ANY($1) AND realised_revision > 0;

-- port.mark_realised
UPDATE port AS p SET realised_revision = r.revision
FROM (
SELECT p.id, n.revision FROM port AS p
JOIN jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint) ON n.id = p.id
WHERE p.realised_revision < n.revision ORDER BY p.id FOR UPDATE OF p
) AS r
WHERE p.id = r.id;

-- port.move
UPDATE port SET host_id = $2, backend_id = $3, desired_revision = desired_revision + 1, version = version + 1
WHERE owner_id = ANY($1) AND host_id <> $2;

-- port.of_owners
SELECT id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at FROM port WHERE owner_id = ANY($1) ORDER BY owner_id, id;

-- port.raise_revision
UPDATE port SET desired_revision = desired_revision + 1, version = version + 1 WHERE id = ANY($1);

-- port.raise_revision_of_members
UPDATE port SET desired_revision = desired_revision + 1, version = version + 1
WHERE id IN (
SELECT id FROM port WHERE backend_id = $2 AND lifecycle = 'PRESENT'
AND id IN (SELECT port_id FROM port_security_group WHERE security_group_id = ANY($1))
ORDER BY id FOR UPDATE);

-- port.remove
DELETE FROM port WHERE id IN (SELECT id FROM port WHERE id = ANY($1) ORDER BY id FOR UPDATE) RETURNING id, backend_id;

-- port_security_group.crowded
SELECT port_id AS id FROM port_security_group WHERE port_id = ANY($1) GROUP BY port_id HAVING count(*) > $2::int ORDER BY port_id;

-- port_security_group.delete
DELETE FROM port_security_group AS m USING unnest($1::text[], $2::text[]) AS g (port_id, security_group_id)
WHERE m.port_id = g.port_id AND m.security_group_id = g.security_group_id;

-- port_security_group.insert
INSERT INTO port_security_group (port_id, security_group_id)
SELECT m.port_id, m.security_group_id FROM unnest($1::text[], $2::text[]) AS m (port_id, security_group_id)
JOIN security_group AS g ON g.id = m.security_group_id AND g.lifecycle = 'PRESENT'
ORDER BY m.port_id, m.security_group_id
ON CONFLICT (port_id, security_group_id) DO NOTHING;

-- port_security_group.members
SELECT p.id FROM port_security_group AS m JOIN port AS p ON p.id = m.port_id
WHERE m.security_group_id = $1 AND p.backend_id = $2 AND p.id > $3 AND p.lifecycle = 'PRESENT' ORDER BY p.id LIMIT $4::int;

-- port_security_group.of_address
SELECT DISTINCT m.security_group_id FROM port AS p JOIN port_security_group AS m ON m.port_id = p.id
WHERE p.project_id = $1 AND p.address = $2::inet;

-- port_security_group.of_ports
SELECT port_id, security_group_id FROM port_security_group WHERE port_id = ANY($1) ORDER BY port_id, security_group_id;

-- principal.bootstrap_binding
INSERT INTO role_binding (id, principal_id, scope_id, role) VALUES ($1, $2, $3, 'OWNER')
ON CONFLICT (principal_id, scope_id, role) DO NOTHING;

-- principal.bootstrap_owner
WITH made AS (
INSERT INTO principal (id, kind, scope_id, name) VALUES ($1, 'USER', $2, 'owner')
ON CONFLICT (scope_id, kind, name) WHERE issuer_id IS NULL DO NOTHING RETURNING id
)
SELECT id FROM made UNION ALL SELECT id FROM principal WHERE scope_id = $2 AND kind = 'USER' AND name = 'owner' AND issuer_id IS NULL LIMIT 1;

-- principal.bootstrap_token
INSERT INTO api_token (id, principal_id, name, secret_hash) VALUES ($1, $2, 'bootstrap', $3)
ON CONFLICT (principal_id, name) DO UPDATE SET id = excluded.id, secret_hash = excluded.secret_hash, revoked_at = NULL
WHERE api_token.secret_hash <> excluded.secret_hash;

-- principal.credentials
SELECT t.id AS token_id, t.secret_hash, t.expires_at, p.id AS principal_id, p.kind, p.name, p.tenant_id,
coalesce((SELECT jsonb_agg(jsonb_build_object(
'role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id))
FROM (SELECT own.* FROM role_binding AS own WHERE own.principal_id = p.id
UNION ALL
SELECT via.* FROM group_membership AS m JOIN role_binding AS via ON via.group_id = m.group_id WHERE m.principal_id = p.id
) AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id), '[]') AS grants
FROM api_token AS t JOIN principal AS p ON p.id = t.principal_id
WHERE t.id = ANY($1) AND t.revoked_at IS NULL AND p.disabled_at IS NULL
AND (t.expires_at IS NULL OR t.expires_at > now())
AND NOT EXISTS (SELECT 1 FROM issuer AS i WHERE i.id = p.issuer_id AND NOT i.enabled);

-- principal.find
SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal WHERE id = ANY($1);

-- principal.find_tokens
SELECT id, principal_id, tenant_id, project_id, name, expires_at, revoked_at, last_used_at, version, created_at
FROM api_token WHERE id = ANY($1);

-- principal.find_tokens_of
SELECT id, principal_id, tenant_id, project_id, name, expires_at, revoked_at, last_used_at, version, created_at
FROM api_token WHERE principal_id = ANY($1) ORDER BY principal_id, id;

-- principal.holdings
SELECT p.id, coalesce((SELECT jsonb_agg(jsonb_build_object(
'role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id))
FROM (SELECT own.* FROM role_binding AS own WHERE own.principal_id = p.id
UNION ALL
SELECT via.* FROM group_membership AS m JOIN role_binding AS via ON via.group_id = m.group_id WHERE m.principal_id = p.id
) AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id), '[]') AS grants FROM principal AS p WHERE p.id = ANY($1);

-- principal.list.NAME#4c01a5ab
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- principal.list.NAME#537e927c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t WHERE (t.name, t.id) < ($5::text::text, $6::text)
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- principal.list.NAME#5bb79f22
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- principal.list.NAME#735cc48a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t WHERE (t.name, t.id) > ($5::text::text, $6::text)
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- principal.list.count#06bbe00d
SELECT count(*) AS count FROM (SELECT id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at FROM principal AS p WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR scope_id = $4)) AS t;

-- principal.remove_of_scopes
WITH bindings AS (DELETE FROM role_binding WHERE scope_id = ANY($1)),
groups AS (DELETE FROM principal_group WHERE scope_id = ANY($1)),
roles AS (DELETE FROM custom_role WHERE tenant_id = ANY($1))
DELETE FROM principal WHERE scope_id = ANY($1);

-- principal.touch_tokens
UPDATE api_token SET last_used_at = now()
WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- project.find
SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id WHERE p.id = ANY($1);

-- project.find_by_name
SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND s.name = $4 AND ($5::text IS NULL OR p.tenant_id = $5) LIMIT 2;

-- project.list.NAME#019f3e47
SELECT t.*, t.name::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- project.list.NAME#2373f2a2
SELECT t.*, t.name::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.name, t.id) < ($7::text::text, $8::text)
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- project.list.NAME#6078da9d
SELECT t.*, t.name::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- project.list.NAME#82990b9e
SELECT t.*, t.name::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.name, t.id) > ($7::text::text, $8::text)
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- project.list.NEWEST#2eea38e0
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.created_at, t.id) < ($7::text::timestamptz, $8::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- project.list.NEWEST#3e2f5679
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.created_at, t.id) > ($7::text::timestamptz, $8::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- project.list.NEWEST#8a3d0ce0
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $7::int;

-- project.list.NEWEST#c6c91232
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $7::int;

-- project.list.OLDEST#2eea38e0
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.created_at, t.id) < ($7::text::timestamptz, $8::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- project.list.OLDEST#3e2f5679
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t WHERE (t.created_at, t.id) > ($7::text::timestamptz, $8::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- project.list.OLDEST#8a3d0ce0
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $7::int;

-- project.list.OLDEST#c6c91232
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $7::int;

-- project.list.count#8dbb4e9a
SELECT count(*) AS count FROM (SELECT p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id
WHERE ($1::boolean OR p.tenant_id = ANY($2::text[]) OR p.project_id = ANY($3::text[])) AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)) AS t;

-- provider_router.choose_gateways
SELECT p.id, ARRAY(
SELECT h.name FROM host AS h WHERE h.backend_id = p.backend_id AND (coalesce(cardinality(e.connected_hosts), 0) = 0 OR h.name = ANY (e.connected_hosts))
ORDER BY h.intent <> 'ENABLED', md5(p.id || h.id), h.id LIMIT $2::int) AS host_names
FROM provider_router AS p JOIN external_network AS e ON e.id = p.external_network_id WHERE p.id = ANY($1) ORDER BY p.id;

-- provider_router.fail
UPDATE provider_router SET failure = $2::jsonb, realised_revision = 0,
lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
WHERE id = $1 RETURNING id, backend_id;

-- provider_router.find
SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE id = ANY($1) ORDER BY id;

-- provider_router.find_by_reference
SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE id = ANY($1) OR name = ANY($1) ORDER BY id;

-- provider_router.kept
UPDATE provider_router SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- provider_router.list.NAME#1c75e5b6
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- provider_router.list.NAME#3a4cf8f7
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- provider_router.list.NAME#8bf1e589
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- provider_router.list.NAME#d20fe380
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- provider_router.list.count#14939f80
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)) AS t;

-- provider_router.lock
SELECT id, name, lifecycle FROM provider_router WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- provider_router.made
UPDATE provider_router SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- provider_router.mark_realised
UPDATE provider_router AS p SET realised_revision = n.revision,
gateway_hosts = ARRAY(SELECT jsonb_array_elements_text(n."gatewayHosts"))
FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint, "gatewayHosts" jsonb)
WHERE p.id = n.id AND p.realised_revision <= n.revision
AND (p.realised_revision < n.revision OR to_jsonb(p.gateway_hosts) <> n."gatewayHosts");

-- provider_router.remade
UPDATE provider_router SET lifecycle = 'CREATING', failure = NULL, desired_revision = desired_revision + 1
WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id;

-- provider_router.remove
DELETE FROM provider_router WHERE id = ANY($1) RETURNING id, backend_id;

-- provider_router.share
SELECT id, name, lifecycle FROM provider_router WHERE id = ANY($1) ORDER BY id FOR SHARE;

-- quota.counters
SELECT scope_id, resource_key, zone_id, limit_amount, used_amount FROM quota_counter
WHERE scope_id = ANY($1) AND (limit_amount IS NOT NULL OR used_amount > 0);

-- quota.limits
SELECT resource_key, zone_id FROM quota_counter WHERE scope_id = $1 AND limit_amount IS NOT NULL;

-- quota.raise
INSERT INTO quota AS q (id, scope_id, tenant_id, project_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (scope_id) DO UPDATE SET version = q.version + 1
WHERE $5::bigint IS NULL OR q.version = $5::bigint
RETURNING version;

-- quota.remove
WITH headers AS (DELETE FROM quota WHERE scope_id = $1 OR tenant_id = $1)
DELETE FROM quota_counter WHERE scope_id = $1 OR tenant_id = $1;

-- quota.scopes
SELECT s.id, s.kind, s.name, s.state, s.tenant_id, s.project_id, t.name AS tenant_name, t.state AS tenant_state,
q.id AS quota_id, coalesce(q.version, 0) AS quota_version
FROM scope AS s JOIN scope AS t ON t.id = s.tenant_id LEFT JOIN quota AS q ON q.scope_id = s.id
WHERE s.id = ANY($1);

-- quota.set_project_limits
WITH want AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($2::jsonb) AS w (resource_key text, zone_id text, new_limit bigint)),
project AS MATERIALIZED (
SELECT c.scope_id, c.tenant_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.new_limit
FROM want AS w JOIN quota_counter AS c
ON c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
ORDER BY c.resource_key, c.zone_id, c.scope_id FOR UPDATE OF c
), shift AS MATERIALIZED (
SELECT tenant_id, resource_key, zone_id,
coalesce(new_limit, used_amount) - coalesce(limit_amount, used_amount) AS amount
FROM project
WHERE new_limit IS NULL OR used_amount <= new_limit
), tenant AS MATERIALIZED (
SELECT c.scope_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.amount
FROM shift AS w JOIN quota_counter AS c
ON c.scope_id = w.tenant_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
WHERE w.amount <> 0
ORDER BY c.resource_key, c.zone_id, c.scope_id FOR UPDATE OF c
), carved AS (
UPDATE quota_counter AS c SET limit_amount = w.new_limit
FROM project AS w
WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
AND (w.new_limit IS NULL OR c.used_amount <= w.new_limit)
RETURNING c.resource_key, c.zone_id
), shifted AS (
UPDATE quota_counter AS c SET used_amount = c.used_amount + w.amount
FROM tenant AS w
WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
AND (w.amount < 0 OR c.limit_amount IS NULL OR c.used_amount + w.amount <= c.limit_amount)
RETURNING c.resource_key, c.zone_id
)
SELECT w.scope_id, w.resource_key, w.zone_id, w.new_limit AS limit_amount, w.used_amount, NULL::bigint AS requested
FROM project AS w
WHERE NOT EXISTS (SELECT FROM carved AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
UNION ALL
SELECT w.scope_id, w.resource_key, w.zone_id, w.limit_amount, w.used_amount, w.amount
FROM tenant AS w
WHERE NOT EXISTS (SELECT FROM shifted AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
ORDER BY resource_key, zone_id;

-- quota.set_tenant_limits
WITH want AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($2::jsonb) AS w (resource_key text, zone_id text, new_limit bigint)),
locked AS MATERIALIZED (
SELECT c.scope_id, c.resource_key, c.zone_id, c.used_amount, w.new_limit
FROM want AS w JOIN quota_counter AS c
ON c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
ORDER BY c.resource_key, c.zone_id, c.scope_id FOR UPDATE OF c
), changed AS (
UPDATE quota_counter AS c SET limit_amount = w.new_limit
FROM locked AS w
WHERE c.scope_id = $1 AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
AND (w.new_limit IS NULL OR c.used_amount <= w.new_limit)
RETURNING c.resource_key, c.zone_id
)
SELECT w.scope_id, w.resource_key, w.zone_id, w.new_limit AS limit_amount, w.used_amount, NULL::bigint AS requested
FROM locked AS w
WHERE NOT EXISTS (SELECT FROM changed AS c WHERE c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
ORDER BY w.resource_key, w.zone_id;

-- quota.usage
SELECT * FROM (
SELECT s.id AS scope_id, n.resource_key, n.zone_id, c.limit_amount, coalesce(c.used_amount, 0) AS used_amount,
CASE WHEN s.kind = 'TENANT' THEN coalesce((
SELECT sum(p.limit_amount)::bigint FROM quota_counter AS p
WHERE p.tenant_id = s.id AND p.project_id IS NOT NULL AND p.resource_key = n.resource_key AND p.zone_id = n.zone_id), 0)
ELSE 0 END AS carved_amount,
CASE WHEN s.kind = 'PROJECT' AND c.limit_amount IS NULL THEN t.limit_amount END AS tenant_limit,
CASE WHEN s.kind = 'PROJECT' AND c.limit_amount IS NULL THEN t.used_amount END AS tenant_used,
row_number() OVER (PARTITION BY s.id ORDER BY n.resource_key, n.zone_id) AS line
FROM scope AS s
JOIN LATERAL (
SELECT resource_key, zone_id FROM quota_counter
WHERE scope_id = s.id AND (limit_amount IS NOT NULL OR used_amount > 0)
UNION SELECT resource_key, zone_id FROM quota_counter WHERE scope_id = s.tenant_id AND limit_amount IS NOT NULL
) AS n ON true
LEFT JOIN quota_counter AS c ON c.scope_id = s.id AND c.resource_key = n.resource_key AND c.zone_id = n.zone_id
LEFT JOIN quota_counter AS t ON t.scope_id = s.tenant_id AND t.resource_key = n.resource_key AND t.zone_id = n.zone_id
WHERE s.id = ANY($1)
) AS lines
WHERE line <= 1000
ORDER BY scope_id, resource_key, zone_id;

-- quota.usage_entries.ID#0e1da9c2
SELECT t.*, t.id::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t WHERE (t.id, t.id) < ($5::text::text, $6::text)
ORDER BY t.id DESC, t.id DESC LIMIT $7::int;

-- quota.usage_entries.ID#1f6f1c99
SELECT t.*, t.id::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t 
ORDER BY t.id DESC, t.id DESC LIMIT $5::int;

-- quota.usage_entries.ID#8675b591
SELECT t.*, t.id::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t 
ORDER BY t.id ASC, t.id ASC LIMIT $5::int;

-- quota.usage_entries.ID#ed5b61d1
SELECT t.*, t.id::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t WHERE (t.id, t.id) > ($5::text::text, $6::text)
ORDER BY t.id ASC, t.id ASC LIMIT $7::int;

-- quota.usage_entries.LARGEST#2b3426a3
SELECT t.*, t.amount::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t WHERE (t.amount, t.id) > ($5::text::bigint, $6::text)
ORDER BY t.amount ASC, t.id ASC LIMIT $7::int;

-- quota.usage_entries.LARGEST#82e29bca
SELECT t.*, t.amount::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t 
ORDER BY t.amount DESC, t.id DESC LIMIT $5::int;

-- quota.usage_entries.LARGEST#cf0479dc
SELECT t.*, t.amount::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t 
ORDER BY t.amount ASC, t.id ASC LIMIT $5::int;

-- quota.usage_entries.LARGEST#f1278359
SELECT t.*, t.amount::text AS keyset_key FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t WHERE (t.amount, t.id) < ($5::text::bigint, $6::text)
ORDER BY t.amount DESC, t.id DESC LIMIT $7::int;

-- quota.usage_entries.count#2b70ab62
SELECT count(*) AS count FROM (SELECT c.resource_id AS id, 'CHARGE' AS source, c.resource_kind, c.project_id, c.zone_id, c.amount, c.charged_at AS since
FROM quota_charge AS c
LEFT JOIN quota_counter AS p ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = $4::text
WHERE c.tenant_id = $1::text AND c.resource_key = $3::text AND ($4::text = '' OR c.zone_id = $4::text)
AND CASE WHEN $2::text IS NULL THEN p.limit_amount IS NULL ELSE c.project_id = $2::text END
UNION ALL
SELECT p.scope_id, 'CARVE', 'prj', p.project_id, p.zone_id, p.limit_amount, NULL
FROM quota_counter AS p
WHERE $2::text IS NULL AND p.tenant_id = $1::text AND p.project_id IS NOT NULL
AND p.resource_key = $3::text AND p.zone_id = $4::text AND p.limit_amount > 0) AS t;

-- quota_audit.drift
WITH charged AS MATERIALIZED (
SELECT x.tenant_id, x.project_id, x.resource_key, zone.id AS zone_id, sum(x.amount) AS amount
FROM quota_charge AS x CROSS JOIN LATERAL (SELECT '' COLLATE "C" AS id UNION SELECT x.zone_id) AS zone
WHERE true
GROUP BY 1, 2, 3, 4
), counter AS MATERIALIZED (SELECT x.* FROM quota_counter AS x WHERE true),
project AS MATERIALIZED (
SELECT coalesce(c.tenant_id, p.tenant_id) AS tenant_id, coalesce(c.project_id, p.project_id) AS project_id,
coalesce(c.resource_key, p.resource_key) AS resource_key, coalesce(c.zone_id, p.zone_id) AS zone_id,
coalesce(c.amount, 0) AS amount, p.limit_amount
FROM (SELECT * FROM charged WHERE project_id IS NOT NULL) AS c
FULL JOIN (SELECT * FROM counter WHERE project_id IS NOT NULL) AS p
ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = c.zone_id
), expected AS MATERIALIZED (
SELECT project_id AS scope_id, tenant_id, project_id, resource_key, zone_id, amount FROM project
UNION ALL
SELECT tenant_id, tenant_id, NULL, resource_key, zone_id, sum(amount) FROM (
SELECT tenant_id, resource_key, zone_id, coalesce(limit_amount, amount) AS amount FROM project
UNION ALL SELECT tenant_id, resource_key, zone_id, amount FROM charged WHERE project_id IS NULL
) AS parts GROUP BY tenant_id, resource_key, zone_id
)
SELECT coalesce(e.scope_id, c.scope_id) AS scope_id, coalesce(e.tenant_id, c.tenant_id) AS tenant_id,
coalesce(e.project_id, c.project_id) AS project_id, coalesce(e.resource_key, c.resource_key) AS resource_key,
coalesce(e.zone_id, c.zone_id) AS zone_id, coalesce(c.used_amount, 0) AS recorded, coalesce(e.amount, 0)::bigint AS expected
FROM expected AS e FULL JOIN counter AS c
ON c.scope_id = e.scope_id AND c.resource_key = e.resource_key AND c.zone_id = e.zone_id
WHERE coalesce(c.used_amount, 0) <> coalesce(e.amount, 0)
ORDER BY tenant_id, resource_key, zone_id, project_id NULLS LAST LIMIT $1::int;

-- quota_audit.lock
SELECT c.scope_id FROM quota_counter AS c WHERE c.tenant_id = $1 AND c.resource_key = $2
ORDER BY c.project_id IS NULL, c.resource_key, c.zone_id, c.scope_id FOR UPDATE;

-- quota_audit.repair
WITH charged AS MATERIALIZED (
SELECT x.tenant_id, x.project_id, x.resource_key, zone.id AS zone_id, sum(x.amount) AS amount
FROM quota_charge AS x CROSS JOIN LATERAL (SELECT '' COLLATE "C" AS id UNION SELECT x.zone_id) AS zone
WHERE x.tenant_id = $1 AND x.resource_key = $2
GROUP BY 1, 2, 3, 4
), counter AS MATERIALIZED (SELECT x.* FROM quota_counter AS x WHERE x.tenant_id = $1 AND x.resource_key = $2),
project AS MATERIALIZED (
SELECT coalesce(c.tenant_id, p.tenant_id) AS tenant_id, coalesce(c.project_id, p.project_id) AS project_id,
coalesce(c.resource_key, p.resource_key) AS resource_key, coalesce(c.zone_id, p.zone_id) AS zone_id,
coalesce(c.amount, 0) AS amount, p.limit_amount
FROM (SELECT * FROM charged WHERE project_id IS NOT NULL) AS c
FULL JOIN (SELECT * FROM counter WHERE project_id IS NOT NULL) AS p
ON p.scope_id = c.project_id AND p.resource_key = c.resource_key AND p.zone_id = c.zone_id
), expected AS MATERIALIZED (
SELECT project_id AS scope_id, tenant_id, project_id, resource_key, zone_id, amount FROM project
UNION ALL
SELECT tenant_id, tenant_id, NULL, resource_key, zone_id, sum(amount) FROM (
SELECT tenant_id, resource_key, zone_id, coalesce(limit_amount, amount) AS amount FROM project
UNION ALL SELECT tenant_id, resource_key, zone_id, amount FROM charged WHERE project_id IS NULL
) AS parts GROUP BY tenant_id, resource_key, zone_id
),
wrong AS (
SELECT c.scope_id, c.zone_id, coalesce(e.amount, 0)::bigint AS amount
FROM counter AS c LEFT JOIN expected AS e ON e.scope_id = c.scope_id AND e.zone_id = c.zone_id
WHERE c.used_amount <> coalesce(e.amount, 0)
)
UPDATE quota_counter AS c SET used_amount = wrong.amount FROM wrong
WHERE c.scope_id = wrong.scope_id AND c.resource_key = $2 AND c.zone_id = wrong.zone_id;

-- quota_charge.count_of_scope
SELECT count(*) AS count FROM quota_charge WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- quota_charge.find
SELECT resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount FROM quota_charge WHERE resource_id = ANY($1) ORDER BY resource_id, resource_key;

-- quota_charge.insert
WITH input AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (resource_id text, resource_key text, resource_kind text,
tenant_id text, project_id text, zone_id text, amount bigint, metering_id text)),
made AS (
INSERT INTO quota_charge (resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, metering_id, charged_at)
SELECT resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, metering_id, clock_timestamp() FROM input ORDER BY resource_id COLLATE "C", resource_key COLLATE "C"
ON CONFLICT (resource_id, resource_key) DO NOTHING
RETURNING resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount
)
SELECT tenant_id, project_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM made GROUP BY 1, 2, 3, 4;

-- quota_charge.lock
SELECT resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount FROM quota_charge WHERE resource_id = ANY($1) ORDER BY resource_id, resource_key FOR UPDATE;

-- quota_charge.of_scope
SELECT resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount FROM quota_charge WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)
ORDER BY resource_id, resource_key LIMIT $3::int;

-- quota_charge.remove
WITH going AS MATERIALIZED (
SELECT resource_id, resource_key FROM quota_charge WHERE resource_id = ANY($1)
ORDER BY resource_id, resource_key FOR UPDATE
), gone AS (
DELETE FROM quota_charge AS c USING going AS g
WHERE c.resource_id = g.resource_id AND c.resource_key = g.resource_key
RETURNING c.*
), closed AS (
INSERT INTO metering_record (id, resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, from_at, to_at)
SELECT metering_id, resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, charged_at, greatest(charged_at, clock_timestamp()) FROM gone
)
SELECT tenant_id, project_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM gone GROUP BY 1, 2, 3, 4;

-- quota_charge.rewrite
WITH input AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (resource_id text, resource_key text, resource_kind text,
tenant_id text, project_id text, zone_id text, amount bigint, metering_id text, exists boolean)),
stamp AS MATERIALIZED (SELECT clock_timestamp() AS at),
closed AS (
INSERT INTO metering_record (id, resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, from_at, to_at)
SELECT c.metering_id, c.resource_id, c.resource_key, c.resource_kind, c.tenant_id, c.project_id, c.zone_id, c.amount, c.charged_at, greatest(c.charged_at, stamp.at)
FROM stamp, input AS i JOIN quota_charge AS c ON c.resource_id = i.resource_id AND c.resource_key = i.resource_key
WHERE i.exists
), gone AS (
DELETE FROM quota_charge AS c USING input AS i
WHERE i.exists AND i.amount = 0 AND c.resource_id = i.resource_id AND c.resource_key = i.resource_key
RETURNING 1
), changed AS (
UPDATE quota_charge AS c SET amount = i.amount, zone_id = i.zone_id, metering_id = i.metering_id,
charged_at = greatest(c.charged_at, stamp.at)
FROM stamp, input AS i
WHERE i.exists AND i.amount > 0 AND c.resource_id = i.resource_id AND c.resource_key = i.resource_key
RETURNING 1
), made AS (
INSERT INTO quota_charge (resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, metering_id, charged_at)
SELECT resource_id, resource_key, resource_kind, tenant_id, project_id, zone_id, amount, metering_id, stamp.at FROM stamp, input WHERE NOT exists
ON CONFLICT (resource_id, resource_key) DO NOTHING
RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) + (SELECT count(*) FROM made) AS written;

-- quota_counter.make
WITH want AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
AS w (tenant_id, project_id, resource_key, zone_id, amount))
INSERT INTO quota_counter (scope_id, resource_key, zone_id, tenant_id, project_id)
SELECT c.scope_id, c.resource_key, c.zone_id, c.tenant_id, c.project_id
FROM (
SELECT project_id AS scope_id, resource_key, zone_id, tenant_id, project_id FROM want WHERE project_id IS NOT NULL
UNION SELECT tenant_id, resource_key, zone_id, tenant_id, NULL FROM want
) AS c
ORDER BY c.project_id IS NULL, c.resource_key, c.zone_id, c.scope_id
ON CONFLICT DO NOTHING;

-- quota_counter.preview
WITH want AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
AS w (tenant_id, project_id, resource_key, zone_id, amount)),
project AS MATERIALIZED (
SELECT w.*, c.limit_amount, coalesce(c.used_amount, 0) AS used_amount
FROM want AS w LEFT JOIN quota_counter AS c ON c.scope_id = w.project_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
),
tenant_want AS (
SELECT tenant_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM project
WHERE project_id IS NULL OR limit_amount IS NULL
GROUP BY tenant_id, resource_key, zone_id HAVING sum(amount) <> 0
)
SELECT w.project_id AS scope_id, s.name AS scope_name, s.kind AS scope_kind, w.resource_key, w.zone_id,
w.limit_amount, w.used_amount, w.amount AS requested
FROM project AS w JOIN scope AS s ON s.id = w.project_id
UNION ALL
SELECT w.tenant_id, s.name, s.kind, w.resource_key, w.zone_id, c.limit_amount, coalesce(c.used_amount, 0), w.amount
FROM tenant_want AS w JOIN scope AS s ON s.id = w.tenant_id
LEFT JOIN quota_counter AS c ON c.scope_id = w.tenant_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
ORDER BY resource_key, zone_id, scope_id;

-- quota_counter.take
WITH want AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
AS w (tenant_id, project_id, resource_key, zone_id, amount)),
ready AS MATERIALIZED (
SELECT NOT EXISTS (
SELECT FROM want AS w
LEFT JOIN quota_counter AS p ON p.scope_id = w.project_id AND p.resource_key = w.resource_key AND p.zone_id = w.zone_id
LEFT JOIN quota_counter AS t ON t.scope_id = w.tenant_id AND t.resource_key = w.resource_key AND t.zone_id = w.zone_id
WHERE t.scope_id IS NULL OR (w.project_id IS NOT NULL AND p.scope_id IS NULL)
) AS yes
),
project AS MATERIALIZED (
SELECT c.scope_id, c.resource_key, c.zone_id, c.tenant_id, c.limit_amount, c.used_amount, w.amount
FROM want AS w JOIN quota_counter AS c ON c.scope_id = w.project_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
WHERE (SELECT yes FROM ready)
ORDER BY c.resource_key, c.zone_id, c.scope_id FOR UPDATE OF c
),
tenant_want AS (
SELECT tenant_id, resource_key, zone_id, sum(amount)::bigint AS amount FROM (
SELECT tenant_id, resource_key, zone_id, amount FROM project WHERE limit_amount IS NULL
UNION ALL
SELECT tenant_id, resource_key, zone_id, amount FROM want WHERE project_id IS NULL AND (SELECT yes FROM ready)
) AS w
GROUP BY tenant_id, resource_key, zone_id HAVING sum(amount) <> 0
),
tenant AS MATERIALIZED (
SELECT c.scope_id, c.resource_key, c.zone_id, c.limit_amount, c.used_amount, w.amount
FROM tenant_want AS w JOIN quota_counter AS c ON c.scope_id = w.tenant_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
ORDER BY c.resource_key, c.zone_id, c.scope_id FOR UPDATE OF c
),
locked AS MATERIALIZED (
SELECT 0 AS level, scope_id, resource_key, zone_id, limit_amount, used_amount, amount FROM project
UNION ALL
SELECT 1, scope_id, resource_key, zone_id, limit_amount, used_amount, amount FROM tenant
),
taken AS (
UPDATE quota_counter AS c SET used_amount = c.used_amount + w.amount
FROM locked AS w
WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
AND (w.amount <= 0 OR c.limit_amount IS NULL OR c.used_amount + w.amount <= c.limit_amount)
RETURNING c.scope_id, c.resource_key, c.zone_id
),
refused AS (
SELECT w.* FROM locked AS w
WHERE NOT EXISTS (SELECT FROM taken AS c WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id)
)
SELECT w.scope_id, s.name AS scope_name, s.kind AS scope_kind, w.resource_key, w.zone_id,
w.limit_amount, w.used_amount, w.amount AS requested
FROM refused AS w JOIN scope AS s ON s.id = w.scope_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM ready WHERE NOT yes
ORDER BY resource_key, zone_id, scope_id;

-- rack.find
SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE id = ANY($1);

-- rack.list.NAME#223af523
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- rack.list.NAME#73cbcdee
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- rack.list.NAME#759ec8cd
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- rack.list.NAME#a86a2361
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- rack.list.count#6be1b4c0
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)) AS t;

-- rack.remove_pending
DELETE FROM rack WHERE id = $1 AND state = 'PENDING_DELETE';

-- rack.uses
SELECT * FROM (SELECT 'hosts' AS users, count(*) AS count FROM host WHERE rack_id = $1) AS uses WHERE count > 0;

-- resource_lock.awaited
SELECT DISTINCT ON (l.successor_operation_id) l.successor_operation_id, l.resource_id, o.id AS holder_id,
o.kind AS holder_kind, o.state AS holder_state
FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
WHERE l.successor_operation_id = ANY ($1) ORDER BY l.successor_operation_id, l.resource_id;

-- resource_lock.drop
WITH dropped AS (
DELETE FROM resource_lock WHERE root_operation_id = $1 AND successor_operation_id IS NULL
), withdrawn AS (
UPDATE resource_lock SET successor_operation_id = NULL WHERE successor_operation_id = $1
)
SELECT DISTINCT successor_operation_id FROM resource_lock
WHERE root_operation_id = $1 AND successor_operation_id IS NOT NULL
ORDER BY successor_operation_id;

-- resource_lock.hand_over
WITH dropped AS (
DELETE FROM resource_lock WHERE root_operation_id = $1 AND successor_operation_id IS NULL
)
UPDATE resource_lock SET operation_id = successor_operation_id, root_operation_id = successor_operation_id,
successor_operation_id = NULL
WHERE root_operation_id = $1 AND successor_operation_id IS NOT NULL;

-- resource_lock.holders
SELECT l.resource_id, l.operation_id, l.root_operation_id, o.kind, o.state, l.successor_operation_id
FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
WHERE l.resource_id = ANY ($1) ORDER BY l.resource_id;

-- resource_lock.take
INSERT INTO resource_lock (resource_id, operation_id, root_operation_id)
SELECT w.resource_id, w.operation_id, w.operation_id FROM unnest($1::text[], $2::text[]) AS w (resource_id, operation_id)
ORDER BY w.resource_id
ON CONFLICT (resource_id) DO UPDATE SET operation_id = EXCLUDED.operation_id
WHERE resource_lock.root_operation_id = EXCLUDED.root_operation_id
RETURNING resource_id;

-- resource_lock.take_or_succeed
INSERT INTO resource_lock (resource_id, operation_id, root_operation_id)
SELECT w.resource_id, w.operation_id, w.operation_id FROM unnest($1::text[], $2::text[]) AS w (resource_id, operation_id)
ORDER BY w.resource_id
ON CONFLICT (resource_id) DO UPDATE SET
successor_operation_id = CASE WHEN resource_lock.root_operation_id = EXCLUDED.root_operation_id
THEN resource_lock.successor_operation_id ELSE EXCLUDED.operation_id END
WHERE resource_lock.root_operation_id = EXCLUDED.root_operation_id
OR coalesce(resource_lock.successor_operation_id, EXCLUDED.operation_id) = EXCLUDED.operation_id
RETURNING resource_id, CASE WHEN successor_operation_id IS NOT NULL THEN root_operation_id END AS holder_id;

-- resource_lock.wake_successors
UPDATE operation AS o SET wake_at = clock_timestamp(), blocker = NULL
WHERE o.id = ANY ($1) AND o.state = 'QUEUED' AND o.wake_at IS NULL
AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.successor_operation_id = o.id)
RETURNING o.id;

-- review.held
SELECT p.id AS holder_id, b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
c.name AS custom_role_name, c.permissions, b.version, b.created_at, g.name AS group_name FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id) WHERE p.id = $1 ORDER BY b.id;

-- review.list.NAME#31ef1cab
SELECT t.*, t.holder_name::text AS keyset_key FROM (SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
p.disabled_at, b.scope_id <> $6 AS is_inherited,
(SELECT a.at FROM audit_entry AS a
WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
ORDER BY a.at DESC LIMIT 1) AS last_acted_at
FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[]))
AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)) AS t 
ORDER BY t.holder_name ASC, t.id ASC LIMIT $7::int;

-- review.list.NAME#7c41c15e
SELECT t.*, t.holder_name::text AS keyset_key FROM (SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
p.disabled_at, b.scope_id <> $6 AS is_inherited,
(SELECT a.at FROM audit_entry AS a
WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
ORDER BY a.at DESC LIMIT 1) AS last_acted_at
FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[]))
AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)) AS t 
ORDER BY t.holder_name DESC, t.id DESC LIMIT $7::int;

-- review.list.NAME#bbad14d2
SELECT t.*, t.holder_name::text AS keyset_key FROM (SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
p.disabled_at, b.scope_id <> $6 AS is_inherited,
(SELECT a.at FROM audit_entry AS a
WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
ORDER BY a.at DESC LIMIT 1) AS last_acted_at
FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[]))
AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)) AS t WHERE (t.holder_name, t.id) > ($7::text::text, $8::text)
ORDER BY t.holder_name ASC, t.id ASC LIMIT $9::int;

-- review.list.NAME#f8066ad0
SELECT t.*, t.holder_name::text AS keyset_key FROM (SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
p.disabled_at, b.scope_id <> $6 AS is_inherited,
(SELECT a.at FROM audit_entry AS a
WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
ORDER BY a.at DESC LIMIT 1) AS last_acted_at
FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[]))
AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)) AS t WHERE (t.holder_name, t.id) < ($7::text::text, $8::text)
ORDER BY t.holder_name DESC, t.id DESC LIMIT $9::int;

-- review.list.count#6d2690c6
SELECT count(*) AS count FROM (SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
p.disabled_at, b.scope_id <> $6 AS is_inherited,
(SELECT a.at FROM audit_entry AS a
WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
ORDER BY a.at DESC LIMIT 1) AS last_acted_at
FROM role_binding AS b
LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
LEFT JOIN principal_group AS g ON g.id = b.group_id
LEFT JOIN group_membership AS m ON m.group_id = g.id
JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[]))
AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)) AS t;

-- role_binding.find
SELECT b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
c.name AS custom_role_name, c.permissions, b.version, b.created_at
FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id WHERE b.id = ANY($1);

-- role_binding.find_of_groups
SELECT b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
c.name AS custom_role_name, c.permissions, b.version, b.created_at
FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id WHERE b.group_id = ANY($1) ORDER BY b.group_id, b.id;

-- role_binding.find_of_principals
SELECT held.holder_id, b.* FROM (
SELECT id, principal_id AS holder_id FROM role_binding WHERE principal_id = ANY($1)
UNION ALL
SELECT g.id, m.principal_id FROM group_membership AS m JOIN role_binding AS g ON g.group_id = m.group_id
WHERE m.principal_id = ANY($1)
) AS held JOIN (SELECT b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
c.name AS custom_role_name, c.permissions, b.version, b.created_at
FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id) AS b ON b.id = held.id ORDER BY held.holder_id, b.id;

-- role_binding.find_of_role
SELECT b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
c.name AS custom_role_name, c.permissions, b.version, b.created_at
FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id WHERE b.custom_role_id = $1 ORDER BY b.id LIMIT $2::int;

-- router.blocks_outside
SELECT kind, name, cidr::text AS cidr FROM muon_outside_of($1, true) ORDER BY kind, name;

-- router.change
UPDATE router SET description = $2, external_network_id = $3, external_address = $4::inet, source_nat = $5,
provider_router_id = $6, transit_address = $7::inet, desired_revision = desired_revision + 1, version = version + 1
WHERE id = $1 AND ($8::bigint IS NULL OR version = $8) RETURNING id;

-- router.choose_gateways
SELECT r.id AS router_id, ARRAY(
SELECT h.name FROM host AS h WHERE h.backend_id = r.backend_id AND (coalesce(cardinality(e.connected_hosts), 0) = 0 OR h.name = ANY (e.connected_hosts))
ORDER BY h.intent <> 'ENABLED', md5(r.id || h.id), h.id LIMIT $2::int) AS host_names
FROM router AS r LEFT JOIN external_network AS e ON e.id = r.external_network_id WHERE r.id = ANY($1) ORDER BY r.id;

-- router.count_in_scope
SELECT count(*) AS count FROM router WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- router.count_of_backend
SELECT count(*) AS count FROM router WHERE backend_id = $1;

-- router.deletable_in_scope
SELECT id FROM router WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- router.fail
UPDATE router SET failure = $2::jsonb, external_address = NULL, transit_address = NULL, realised_revision = 0,
lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
WHERE id = $1 RETURNING id, backend_id;

-- router.find
SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router WHERE id = ANY($1) ORDER BY id;

-- router.find_by_name
SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router WHERE project_id = $1 AND name = $2;

-- router.find_visible
SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND r.id = ANY($4);

-- router.kept
UPDATE router SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- router.list.CREATED#34be0dbf
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- router.list.CREATED#5fa5647e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- router.list.CREATED#a7745e8e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- router.list.CREATED#c1194a71
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- router.list.NAME#1c923381
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- router.list.NAME#54bda5bb
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- router.list.NAME#95188b43
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.name, t.id) > ($9::text::text, $10::text)
ORDER BY t.name ASC, t.id ASC LIMIT $11::int;

-- router.list.NAME#a48a8a7e
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.name, t.id) < ($9::text::text, $10::text)
ORDER BY t.name DESC, t.id DESC LIMIT $11::int;

-- router.list.NEWEST#34be0dbf
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- router.list.NEWEST#5fa5647e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- router.list.NEWEST#a7745e8e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.created_at, t.id) > ($9::text::timestamptz, $10::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $11::int;

-- router.list.NEWEST#c1194a71
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t WHERE (t.created_at, t.id) < ($9::text::timestamptz, $10::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $11::int;

-- router.list.count#898a4078
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router AS r
WHERE ($1::boolean OR r.tenant_id = ANY($2::text[]) OR r.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
AND ($8::text IS NULL OR provider_router_id = $8)) AS t;

-- router.list_in_scope
SELECT id, name FROM router WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- router.lock
SELECT id, name, lifecycle, provider_router_id FROM router WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- router.made
UPDATE router SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING';

-- router.mark_behind
UPDATE router SET realised_revision = 0
WHERE backend_id = $2 AND realised_revision > 0 AND id IN (SELECT router_id FROM router_network WHERE network_id = ANY($1));

-- router.mark_realised
UPDATE router AS r SET realised_revision = n.revision,
gateway_hosts = ARRAY(SELECT jsonb_array_elements_text(n."gatewayHosts"))
FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint, "gatewayHosts" jsonb)
WHERE r.id = n.id AND r.realised_revision <= n.revision
AND (r.realised_revision < n.revision OR to_jsonb(r.gateway_hosts) <> n."gatewayHosts");

-- router.of_owners
SELECT id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
version, revision, created_at, updated_at FROM router WHERE owner_id = ANY($1) ORDER BY owner_id, id;

-- router.remade
UPDATE router SET lifecycle = 'CREATING', failure = NULL, external_address = $2::inet, transit_address = $3::inet,
desired_revision = desired_revision + 1
WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id;

-- router.remove
WITH links AS (DELETE FROM router_network WHERE router_id = ANY($1))
DELETE FROM router WHERE id = ANY($1) RETURNING id, backend_id;

-- router.share_of_networks
SELECT r.id, r.name, r.lifecycle, r.provider_router_id FROM router AS r
WHERE r.id IN (SELECT router_id FROM router_network WHERE network_id = ANY($1)) ORDER BY r.id FOR SHARE;

-- router_network.attach
INSERT INTO router_network (network_id, router_id, link, external_network_id)
SELECT a.network_id, $1, a.link, coalesce($4::text, (SELECT p.external_network_id FROM provider_router AS p WHERE p.id = $5::text)) FROM unnest($2::text[], $3::int[]) AS a (network_id, link) ORDER BY a.network_id;

-- router_network.change_uplink
UPDATE router_network SET external_network_id = coalesce($2::text, (SELECT p.external_network_id FROM provider_router AS p WHERE p.id = $3::text))
WHERE router_id = $1 AND external_network_id IS DISTINCT FROM coalesce($2::text, (SELECT p.external_network_id FROM provider_router AS p WHERE p.id = $3::text));

-- router_network.detach
DELETE FROM router_network WHERE router_id = $1 AND network_id = ANY($2);

-- router_network.of_networks
SELECT n.network_id, n.router_id, n.link, n.external_network_id, r.provider_router_id
FROM router_network AS n JOIN router AS r ON r.id = n.router_id WHERE n.network_id = ANY($1) ORDER BY n.network_id;

-- router_network.of_routers
SELECT network_id, router_id, link, external_network_id FROM router_network WHERE router_id = ANY($1) ORDER BY router_id, link;

-- scope.chain
SELECT up.id, up.kind, up.parent_id, up.tenant_id, up.project_id, up.name, up.state, up.version, up.revision, up.created_at, up.updated_at
FROM scope AS self
JOIN scope AS up ON up.id = self.id OR up.id = self.parent_id OR up.kind = 'SYSTEM'
WHERE self.id = $1
ORDER BY CASE up.kind WHEN 'SYSTEM' THEN 0 WHEN 'TENANT' THEN 1 ELSE 2 END;

-- scope.change_state
UPDATE scope SET state = $3, version = version + 1 WHERE id = $1 AND version = $2 RETURNING id;

-- scope.find
SELECT id, kind, parent_id, tenant_id, project_id, name, state, version, revision, created_at, updated_at FROM scope WHERE id = ANY($1);

-- scope.find_by_name
SELECT id, kind, parent_id, tenant_id, project_id, name, state, version, revision, created_at, updated_at FROM scope WHERE parent_id = $1 AND name = $2;

-- scope.lock
SELECT id, kind, tenant_id, name, state FROM scope
WHERE id = ANY($1) OR id = ANY(SELECT tenant_id FROM scope WHERE id = ANY($1))
ORDER BY id FOR SHARE;

-- scope.with_tenants
SELECT id, kind, tenant_id, name, state FROM scope
WHERE id = ANY($1) OR id = ANY(SELECT tenant_id FROM scope WHERE id = ANY($1));

-- secret.find
SELECT id, owner_id, key_id, wrapped_key, ciphertext FROM secret WHERE id = ANY($1);

-- secret.insert
INSERT INTO secret (id, owner_id, tenant_id, project_id, purpose, key_id, wrapped_key, ciphertext)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[]);

-- secret.keySamples
WITH RECURSIVE used AS (
(SELECT key_id FROM secret ORDER BY key_id LIMIT 1)
UNION ALL
SELECT (SELECT key_id FROM secret WHERE key_id > used.key_id ORDER BY key_id LIMIT 1) FROM used WHERE used.key_id IS NOT NULL
)
SELECT sample.* FROM used CROSS JOIN LATERAL
(SELECT id, owner_id, key_id, wrapped_key FROM secret WHERE key_id = used.key_id ORDER BY id LIMIT 3) AS sample
ORDER BY sample.key_id, sample.id;

-- secret.keysInUse
WITH RECURSIVE used AS (
(SELECT key_id FROM secret ORDER BY key_id LIMIT 1)
UNION ALL
SELECT (SELECT key_id FROM secret WHERE key_id > used.key_id ORDER BY key_id LIMIT 1) FROM used WHERE used.key_id IS NOT NULL
)
SELECT key_id, (SELECT count(*) FROM secret WHERE secret.key_id = used.key_id) AS secrets
FROM used WHERE key_id IS NOT NULL ORDER BY key_id;

-- secret.ofKey
SELECT id, owner_id, key_id, wrapped_key FROM secret WHERE key_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- secret.remove
WITH going AS (SELECT id FROM secret WHERE id = ANY($1) ORDER BY id FOR UPDATE)
DELETE FROM secret USING going WHERE secret.id = going.id;

-- secret.removeOfOwners
WITH going AS (SELECT id FROM secret WHERE owner_id = ANY($1) ORDER BY id FOR UPDATE)
DELETE FROM secret USING going WHERE secret.id = going.id;

-- secret.rewrap
WITH locked AS (
SELECT secret.id, input.new_key_id, input.new_wrapped_key
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[])
AS input (id, old_wrapped_key, new_key_id, new_wrapped_key)
JOIN secret ON secret.id = input.id AND secret.wrapped_key = input.old_wrapped_key
ORDER BY secret.id FOR UPDATE OF secret
)
UPDATE secret SET key_id = locked.new_key_id, wrapped_key = locked.new_wrapped_key, rotated_at = now()
FROM locked WHERE secret.id = locked.id;

-- security_group.count_in_scope
SELECT count(*) AS count FROM security_group WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- security_group.deletable_in_scope
SELECT id FROM security_group AS g WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND lifecycle <> 'DELETING'
AND NOT EXISTS (SELECT FROM port_security_group AS m WHERE m.security_group_id = g.id)
ORDER BY id LIMIT $3::int;

-- security_group.find
SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g WHERE g.id = ANY($1) ORDER BY g.id;

-- security_group.find_by_name
SELECT id FROM security_group WHERE project_id = $1 AND name = $2;

-- security_group.find_visible
SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND g.id = ANY($4);

-- security_group.kept
UPDATE security_group SET lifecycle = 'PRESENT' WHERE id = $1;

-- security_group.list.CREATED#1920b267
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t WHERE (t.created_at, t.id) < ($7::text::timestamptz, $8::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $9::int;

-- security_group.list.CREATED#4e697b9e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $7::int;

-- security_group.list.CREATED#76ee8f8b
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t WHERE (t.created_at, t.id) > ($7::text::timestamptz, $8::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $9::int;

-- security_group.list.CREATED#8e867073
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $7::int;

-- security_group.list.NAME#08626996
SELECT t.*, t.name::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $7::int;

-- security_group.list.NAME#34f44e85
SELECT t.*, t.name::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t WHERE (t.name, t.id) > ($7::text::text, $8::text)
ORDER BY t.name ASC, t.id ASC LIMIT $9::int;

-- security_group.list.NAME#51b2f064
SELECT t.*, t.name::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t WHERE (t.name, t.id) < ($7::text::text, $8::text)
ORDER BY t.name DESC, t.id DESC LIMIT $9::int;

-- security_group.list.NAME#d35dfb6a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $7::int;

-- security_group.list.count#1d8fb11d
SELECT count(*) AS count FROM (SELECT g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
g.created_at, g.updated_at,
EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind FROM security_group AS g
WHERE ($1::boolean OR g.tenant_id = ANY($2::text[]) OR g.project_id = ANY($3::text[])) AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
AND ($6::text IS NULL OR g.name = $6)) AS t;

-- security_group.list_in_scope
SELECT id, name FROM security_group WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- security_group.lock
SELECT id, name, lifecycle FROM security_group WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- security_group.remove
DELETE FROM security_group WHERE id = $1;

-- security_group.restore_rules
UPDATE security_group SET rules = $2::jsonb, desired_revision = desired_revision + 1, version = version + 1 WHERE id = $1 RETURNING rules;

-- security_group.share
SELECT id, name, lifecycle FROM security_group WHERE id = ANY($1) ORDER BY id FOR SHARE;

-- security_group.users
SELECT p.id, 'PORT' AS kind, p.name FROM port_security_group AS m JOIN port AS p ON p.id = m.port_id WHERE m.security_group_id = $1
UNION ALL
SELECT g.id, 'SECURITY_GROUP', g.name FROM security_group_reference AS r JOIN security_group AS g ON g.id = r.security_group_id
WHERE r.referenced_id = $1 AND r.security_group_id <> $1
ORDER BY id LIMIT $2::int;

-- security_group_backend.find
SELECT security_group_id, backend_id, realised_revision FROM security_group_backend WHERE security_group_id = ANY($1)
ORDER BY security_group_id, backend_id;

-- security_group_backend.mark_behind
UPDATE security_group_backend SET realised_revision = 0
WHERE security_group_id = ANY($1) AND backend_id = $2 AND realised_revision > 0;

-- security_group_backend.mark_realised
UPDATE security_group_backend AS b SET realised_revision = r.revision
FROM (
SELECT b.security_group_id, b.backend_id, n.revision FROM security_group_backend AS b
JOIN jsonb_to_recordset($1::jsonb) AS n ("securityGroupId" text, "backendId" text, revision bigint)
ON n."securityGroupId" = b.security_group_id AND n."backendId" = b.backend_id
WHERE b.realised_revision < n.revision
ORDER BY b.security_group_id, b.backend_id FOR UPDATE OF b
) AS r
WHERE b.security_group_id = r.security_group_id AND b.backend_id = r.backend_id AND b.realised_revision < r.revision;

-- security_group_backend.span
INSERT INTO security_group_backend (security_group_id, backend_id)
SELECT DISTINCT s.security_group_id, s.backend_id FROM unnest($1::text[], $2::text[]) AS s (security_group_id, backend_id)
JOIN security_group AS g ON g.id = s.security_group_id
ORDER BY s.security_group_id, s.backend_id
ON CONFLICT (security_group_id, backend_id) DO NOTHING;

-- security_group_reference.drop
DELETE FROM security_group_reference WHERE referenced_id = ANY($1);

-- security_group_reference.replace
WITH gone AS (DELETE FROM security_group_reference WHERE security_group_id = $1 AND referenced_id <> ALL($2::text[]))
INSERT INTO security_group_reference (security_group_id, referenced_id)
SELECT $1, r.id FROM unnest($2::text[]) AS r (id) ORDER BY r.id
ON CONFLICT (security_group_id, referenced_id) DO NOTHING;

-- sign_in.subjects
SELECT i.id AS issuer_id, i.version AS issuer_version, k.subject, p.id AS principal_id, i.tenant_id, p.name,
p.disabled_at IS NOT NULL AS is_disabled, p.claims_digest, p.claims_at, coalesce((SELECT jsonb_agg(jsonb_build_object(
'role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id))
FROM (SELECT own.* FROM role_binding AS own WHERE own.principal_id = p.id
UNION ALL
SELECT via.* FROM group_membership AS m JOIN role_binding AS via ON via.group_id = m.group_id WHERE m.principal_id = p.id
) AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id), '[]') AS grants
FROM unnest($1::text[], $2::text[]) AS k(issuer_id, subject)
JOIN issuer AS i ON i.id = k.issuer_id AND i.enabled
LEFT JOIN principal AS p ON p.issuer_id = i.id AND p.subject = k.subject;

-- sign_in.take_claims
INSERT INTO principal AS p
(id, kind, scope_id, tenant_id, name, issuer_id, subject, email, claimed_groups, claims_digest, claims_at)
SELECT $1, 'USER', i.scope_id, i.tenant_id, $5, i.id, $4, $6, $7, $8, $9
FROM issuer AS i JOIN scope AS s ON s.id = i.scope_id
WHERE i.id = $2 AND i.version = $3 AND i.enabled AND s.state <> 'DELETING'
FOR SHARE
ON CONFLICT (issuer_id, subject) WHERE issuer_id IS NOT NULL
DO UPDATE SET name = excluded.name, email = excluded.email, claimed_groups = excluded.claimed_groups,
claims_digest = excluded.claims_digest, claims_at = excluded.claims_at, version = p.version + 1
WHERE p.claims_digest <> excluded.claims_digest AND p.claims_at < excluded.claims_at AND p.disabled_at IS NULL
RETURNING id, scope_id;

-- simulated_world.add_fault
SELECT fault_add($1, $2) AS id;

-- simulated_world.add_guest_response
INSERT INTO guest_response (backend_id, pattern, machine_id, exit_code, standard_output, standard_error)
VALUES ($1, $2, $3, $4, $5, $6);

-- simulated_world.clear_faults
DELETE FROM fault WHERE backend_id = $1;

-- simulated_world.connect_host
SELECT host_connect($1, $2, $3, $4) AS known;

-- simulated_world.count
SELECT
(SELECT count(*)::int FROM host WHERE backend_id = $1) AS hosts,
(SELECT count(*)::int FROM machine WHERE backend_id = $1) AS machines,
(SELECT count(*)::int FROM machine WHERE backend_id = $1 AND power = 'RUNNING') AS "runningMachines",
(SELECT count(*)::int FROM disk WHERE backend_id = $1) AS disks,
(SELECT count(*)::int FROM snapshot WHERE backend_id = $1) AS snapshots,
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'NETWORK') AS networks,
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'PORT') AS ports,
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'LOAD_BALANCER') AS "loadBalancers",
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'EXTERNAL_NETWORK') AS "externalNetworks",
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'PROVIDER_ROUTER') AS "providerRouters",
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'ROUTER') AS routers,
(SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'FLOATING_IP') AS "floatingIps",
(SELECT count(*)::int FROM guest_run WHERE backend_id = $1) AS "guestRuns",
(SELECT count(*)::int FROM work WHERE backend_id = $1) AS "pendingWork";

-- simulated_world.create_hosts
SELECT hosts_create($1, $2) AS name;

-- simulated_world.damage_part
SELECT part_damage($1, $2) AS known;

-- simulated_world.get_machine
SELECT id AS "machineId", hostname, host_name AS "hostName", image_reference AS "imageReference", cpu,
memory_mib AS "memoryMib", power, boot_count AS "bootCount", port_ids AS "portIds", disk_ids AS "diskIds",
user_data AS "userData"
FROM machine WHERE backend_id = $1 AND id = $2;

-- simulated_world.host_usage
SELECT h.name AS "hostName", h.rack, h.state, h.cpu, h.memory_mib AS "memoryMib", count(m.id)::int AS machines,
coalesce(sum(m.cpu), 0)::int AS "cpuUsed", coalesce(sum(m.memory_mib), 0)::int AS "memoryUsedMib"
FROM host h LEFT JOIN machine m ON m.backend_id = h.backend_id AND m.host_name = h.name
WHERE h.backend_id = $1 GROUP BY h.backend_id, h.name ORDER BY h.name;

-- simulated_world.land_work
UPDATE work SET due_at = least(due_at, clock_timestamp()) WHERE backend_id = $1;

-- simulated_world.list_faults
SELECT id, kind, method, resource_id AS "resourceId", seen, fired FROM fault WHERE backend_id = $1 ORDER BY id;

-- simulated_world.list_guest_runs
SELECT run_id AS "runId", script, exit_code AS "exitCode" FROM guest_run
WHERE backend_id = $1 AND machine_id = $2 ORDER BY run_id;

-- simulated_world.list_objects
SELECT 'MACHINE' AS kind, id, installation_id AS "installationId", tenant_id AS "tenantId", project_id AS "projectId"
FROM machine WHERE backend_id = $1
UNION ALL
SELECT 'DISK', id, installation_id, tenant_id, project_id FROM disk WHERE backend_id = $1
UNION ALL
SELECT 'SNAPSHOT', s.id, d.installation_id, d.tenant_id, d.project_id
FROM snapshot s JOIN disk d ON d.backend_id = s.backend_id AND d.id = s.disk_id WHERE s.backend_id = $1
UNION ALL
SELECT kind, id, installation_id, tenant_id, project_id FROM network_part WHERE backend_id = $1
ORDER BY 1, 2;

-- simulated_world.lose_part
SELECT part_lose($1, $2) AS known;

-- simulated_world.network_parts
SELECT kind, id, tenant_id AS "tenantId", revision::float8 AS revision, specification
FROM network_part WHERE backend_id = $1 AND tenant_id = $2 ORDER BY id;

-- simulated_world.reset
SELECT world_reset($1);

-- simulated_world.set_host
SELECT host_set($1, $2, $3) AS known;

-- simulated_world.set_pool_health
UPDATE pool SET health = $3 WHERE backend_id = $1 AND name = $2 RETURNING name;

-- simulation.answer_call
SELECT answer_call($1, $2, $3, $4, $5, $6, $7) AS answer;

-- simulation.events_after
WITH latest AS (SELECT coalesce(max(id), 0) AS id FROM event)
SELECT latest.id::float8 AS latest,
coalesce(
jsonb_agg(DISTINCT jsonb_build_object('kind', e.kind, 'id', e.object_id)) FILTER (WHERE e.id IS NOT NULL), '[]'
) AS events
FROM latest LEFT JOIN event e ON e.backend_id = $1 AND e.id > $2 AND e.id <= latest.id
GROUP BY latest.id;

-- simulation.forget_attempts
DELETE FROM attempt WHERE last_at < now() - interval '1 day';

-- simulation.latest_event
SELECT coalesce(max(id), 0)::float8 AS latest FROM event;

-- simulation.settle
SELECT settle($1, $2) AS settled;

-- storage_policy.compliance
SELECT storage_policy_id, compliance, count(*) AS disks FROM disk
WHERE storage_policy_id = ANY($1) AND lifecycle = 'PRESENT' AND compliance IS NOT NULL GROUP BY storage_policy_id, compliance ORDER BY storage_policy_id, compliance;

-- storage_policy.disks
SELECT count(*) AS disks FROM (SELECT 1 FROM disk WHERE storage_policy_id = $1 LIMIT 100000) AS used;

-- storage_policy.disks_by_offer
SELECT c.offer, count(*) AS disks FROM disk AS d JOIN datastore_capacity AS c ON c.datastore_id = d.datastore_id
WHERE d.storage_policy_id = $1 AND d.lifecycle = 'PRESENT' GROUP BY c.offer ORDER BY c.offer;

-- storage_policy.find
SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE id = ANY($1);

-- storage_policy.find_by_reference
SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at, (WITH RECURSIVE different AS (
(SELECT offer FROM datastore_capacity ORDER BY offer LIMIT 1)
UNION ALL
SELECT (SELECT c.offer FROM datastore_capacity AS c WHERE c.offer > d.offer ORDER BY c.offer LIMIT 1) FROM different AS d WHERE d.offer IS NOT NULL
) SELECT array_agg(offer) FROM different WHERE offer IS NOT NULL) AS offers FROM storage_policy WHERE id = ANY($1) OR name = ANY($1) OR is_default;

-- storage_policy.find_default
SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE is_default;

-- storage_policy.list.NAME#77a2d42a
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) > ($2::text::text, $3::text)
ORDER BY t.name ASC, t.id ASC LIMIT $4::int;

-- storage_policy.list.NAME#a0e9f3d1
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $2::int;

-- storage_policy.list.NAME#eaca717c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE ($1::text IS NULL OR name = $1)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $2::int;

-- storage_policy.list.NAME#f3d1c40b
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE ($1::text IS NULL OR name = $1)) AS t WHERE (t.name, t.id) < ($2::text::text, $3::text)
ORDER BY t.name DESC, t.id DESC LIMIT $4::int;

-- storage_policy.list.count#27a15b46
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, failures_to_tolerate, failure_domain, redundancy_method, needs_encryption,
needs_shared_access, datastore_kinds, iops_limit, costs, is_default, state, version, revision, created_at, updated_at FROM storage_policy WHERE ($1::text IS NULL OR name = $1)) AS t;

-- storage_policy.offers
SELECT offer, count(*) AS datastores FROM datastore_capacity WHERE state = 'ACTIVE' GROUP BY offer ORDER BY offer;

-- storage_policy.remove_withdrawn
DELETE FROM storage_policy WHERE id = $1 AND state = 'PENDING_DELETE';

-- storage_policy.versions
SELECT id, version FROM storage_policy WHERE id = ANY($1);

-- storage_policy.withdrawn
SELECT id, version FROM storage_policy AS p WHERE state = 'PENDING_DELETE'
AND NOT EXISTS (SELECT FROM disk AS d WHERE d.storage_policy_id = p.id) ORDER BY id LIMIT 100;

-- subnet.blocks_of_project
SELECT id, name, cidr, network_id FROM subnet WHERE project_id = $1 ORDER BY id;

-- subnet.count_in_scope
SELECT count(*) AS count FROM subnet WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- subnet.find
SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet WHERE id = ANY($1);

-- subnet.find_visible
SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND s.id = ANY($4);

-- subnet.list.CREATED#54392aa4
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- subnet.list.CREATED#696e3554
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t WHERE (t.created_at, t.id) > ($8::text::timestamptz, $9::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- subnet.list.CREATED#81b54f72
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- subnet.list.CREATED#c3400643
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t WHERE (t.created_at, t.id) < ($8::text::timestamptz, $9::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- subnet.list.NAME#0a7b47de
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t WHERE (t.name, t.id) > ($8::text::text, $9::text)
ORDER BY t.name ASC, t.id ASC LIMIT $10::int;

-- subnet.list.NAME#4884b9a1
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- subnet.list.NAME#50a7ea14
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t WHERE (t.name, t.id) < ($8::text::text, $9::text)
ORDER BY t.name DESC, t.id DESC LIMIT $10::int;

-- subnet.list.NAME#e3a34b5c
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- subnet.list.count#6c85aa7e
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet AS s
WHERE ($1::boolean OR s.tenant_id = ANY($2::text[]) OR s.project_id = ANY($3::text[])) AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)) AS t;

-- subnet.list_in_scope
SELECT id, name FROM subnet WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- subnet.lock
SELECT id, name, lifecycle FROM subnet WHERE id = ANY($1) ORDER BY id FOR UPDATE;

-- subnet.move
UPDATE subnet SET lifecycle = $3, failure = $4::jsonb WHERE id = $1 AND lifecycle = $2 RETURNING id;

-- subnet.of_networks
SELECT id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
lifecycle, failure, version, revision, created_at, updated_at FROM subnet WHERE network_id = ANY($1) ORDER BY network_id, id;

-- subnet.real
SELECT id, network_id, cidr, gateway, host(health_check_address) AS health_check_address FROM subnet
WHERE network_id = ANY($1) AND lifecycle IN ('CREATING', 'PRESENT') ORDER BY network_id, id;

-- subnet.remove
WITH kept AS (DELETE FROM address_allocation WHERE subnet_id = $1 AND owner_id = $1) DELETE FROM subnet WHERE id = $1;

-- subnet.share
SELECT id, name, lifecycle FROM subnet WHERE id = ANY($1) ORDER BY id FOR SHARE;

-- tenant.find
SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id WHERE t.id = ANY($1);

-- tenant.find_by_name
SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id WHERE s.kind = 'TENANT' AND s.name = $1;

-- tenant.list.NAME#41148e10
SELECT t.*, t.name::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.name, t.id) > ($6::text::text, $7::text)
ORDER BY t.name ASC, t.id ASC LIMIT $8::int;

-- tenant.list.NAME#4a7bb3ed
SELECT t.*, t.name::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $6::int;

-- tenant.list.NAME#b6113e7f
SELECT t.*, t.name::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.name, t.id) < ($6::text::text, $7::text)
ORDER BY t.name DESC, t.id DESC LIMIT $8::int;

-- tenant.list.NAME#fdb5efcc
SELECT t.*, t.name::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $6::int;

-- tenant.list.NEWEST#6a9c4638
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.created_at, t.id) > ($6::text::timestamptz, $7::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- tenant.list.NEWEST#7cf491ef
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.created_at, t.id) < ($6::text::timestamptz, $7::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- tenant.list.NEWEST#bb2701c6
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $6::int;

-- tenant.list.NEWEST#f80e187e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $6::int;

-- tenant.list.OLDEST#6a9c4638
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.created_at, t.id) > ($6::text::timestamptz, $7::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $8::int;

-- tenant.list.OLDEST#7cf491ef
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t WHERE (t.created_at, t.id) < ($6::text::timestamptz, $7::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $8::int;

-- tenant.list.OLDEST#bb2701c6
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $6::int;

-- tenant.list.OLDEST#f80e187e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $6::int;

-- tenant.list.count#c0479a25
SELECT count(*) AS count FROM (SELECT t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
s.version AS scope_version, t.version, t.revision, t.created_at FROM tenant AS t JOIN scope AS s ON s.id = t.id
WHERE ($1::boolean OR t.tenant_id = ANY($2::text[]) OR t.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR s.state = $4)
AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)) AS t;

-- tenant.owners
SELECT b.principal_id, b.tenant_id, p.name FROM role_binding AS b JOIN principal AS p ON p.id = b.principal_id
WHERE ($1::boolean OR b.tenant_id = ANY($2::text[]) OR b.project_id = ANY($3::text[])) AND b.scope_id = ANY($4) AND b.role = 'OWNER' ORDER BY b.scope_id, p.name;

-- tombstone.claim
UPDATE tombstone AS t SET sweep_operation_id = $4
FROM (
SELECT t.object_kind, t.object_id FROM tombstone AS t
JOIN unnest($2::text[], $3::text[]) AS w (object_kind, object_id) ON t.object_kind = w.object_kind AND t.object_id = w.object_id
WHERE t.backend_id = $1 AND t.sweep_operation_id IS NULL
ORDER BY t.object_kind, t.object_id FOR UPDATE OF t
) AS free
WHERE t.backend_id = $1 AND t.object_kind = free.object_kind AND t.object_id = free.object_id AND t.sweep_operation_id IS NULL;

-- tombstone.delete
WITH wanted AS (
SELECT t.backend_id, t.object_kind, t.object_id, t.sweep_operation_id
FROM tombstone AS t JOIN unnest($1::text[], $2::text[], $3::text[]) AS w (backend_id, object_kind, object_id)
ON t.backend_id = w.backend_id AND t.object_kind = w.object_kind AND t.object_id = w.object_id
ORDER BY t.backend_id, t.object_kind, t.object_id FOR UPDATE OF t
), lifted AS (
DELETE FROM tombstone AS t USING wanted AS w
WHERE w.sweep_operation_id IS NULL
AND t.backend_id = w.backend_id AND t.object_kind = w.object_kind AND t.object_id = w.object_id
)
SELECT object_id FROM wanted WHERE sweep_operation_id IS NOT NULL;

-- tombstone.find
SELECT backend_id, object_kind, object_id, reason, created_at, settled_at, sweep_operation_id FROM tombstone
WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) ORDER BY object_id;

-- tombstone.insert
INSERT INTO tombstone (backend_id, object_kind, object_id, reason)
SELECT DISTINCT ON (1, 2, 3) "backendId", "objectKind", "objectId", reason
FROM jsonb_to_recordset($1::jsonb) AS t ("backendId" text, "objectKind" text, "objectId" text, reason text)
ORDER BY 1, 2, 3
ON CONFLICT (backend_id, object_kind, object_id) DO UPDATE SET reason = EXCLUDED.reason, settled_at = NULL;

-- tombstone.leave_behind
UPDATE tombstone SET reason = $4 WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) AND reason <> ALL ($5);

-- tombstone.of_sweep
SELECT backend_id, object_kind, object_id, reason, created_at, settled_at, sweep_operation_id FROM tombstone WHERE backend_id = $1 AND sweep_operation_id = $2 ORDER BY object_kind, object_id;

-- tombstone.prune
DELETE FROM tombstone WHERE (backend_id, object_kind, object_id) IN (
SELECT backend_id, object_kind, object_id FROM tombstone
WHERE settled_at < clock_timestamp() - $1::bigint * interval '1 millisecond' AND sweep_operation_id IS NULL LIMIT $2::int);

-- tombstone.release
UPDATE tombstone SET sweep_operation_id = NULL,
settled_at = CASE WHEN object_id = ANY ($3) THEN clock_timestamp() ELSE settled_at END
WHERE backend_id = $1 AND sweep_operation_id = $2;

-- tombstone.settle
UPDATE tombstone SET settled_at = clock_timestamp()
WHERE backend_id = $1 AND object_kind = $2 AND object_id = ANY ($3) AND settled_at IS NULL;

-- tombstone.unsettled
SELECT backend_id, object_kind, object_id, reason, created_at, settled_at, sweep_operation_id FROM tombstone
WHERE backend_id = $1 AND settled_at IS NULL ORDER BY created_at, object_kind, object_id LIMIT $2::int;

-- transit_address.claim
INSERT INTO transit_address (provider_router_id, address, owner_id, tenant_id, project_id) VALUES ($1, $2::inet, $3, $4, $5)
ON CONFLICT (provider_router_id, address) DO NOTHING RETURNING host(address) AS address;

-- transit_address.count_used
SELECT provider_router_id, count(*) AS used FROM transit_address WHERE provider_router_id = ANY($1) GROUP BY provider_router_id;

-- transit_address.find_free
SELECT host(every.address) AS address FROM (
SELECT p.id, p.transit_address, host(p.transit_cidr)::inet + n AS address
FROM provider_router AS p
CROSS JOIN LATERAL generate_series(1, broadcast(p.transit_cidr) - host(p.transit_cidr)::inet - 1) AS place (n)
WHERE p.id = $1
) AS every
WHERE every.address <> every.transit_address AND NOT every.address <<= '100.64.0.0/24' AND NOT every.address = ANY($2::inet[])
AND NOT EXISTS (SELECT FROM transit_address AS t WHERE t.provider_router_id = every.id AND t.address = every.address)
ORDER BY random() LIMIT 1;

-- transit_address.hand_over
UPDATE transit_address SET owner_id = $2 WHERE owner_id = $1;

-- transit_address.of_owners
SELECT provider_router_id, host(address) AS address, owner_id FROM transit_address WHERE owner_id = ANY($1) ORDER BY owner_id;

-- transit_address.probe_free
SELECT host(every.address) AS address FROM (
SELECT p.id, p.transit_address, host(p.transit_cidr)::inet + n AS address
FROM provider_router AS p
CROSS JOIN LATERAL (SELECT 1 + floor(random() * (broadcast(p.transit_cidr) - host(p.transit_cidr)::inet - 1))::bigint FROM generate_series(1, 16)) AS place (n)
WHERE p.id = $1
) AS every
WHERE every.address <> every.transit_address AND NOT every.address <<= '100.64.0.0/24' AND NOT every.address = ANY($2::inet[])
AND NOT EXISTS (SELECT FROM transit_address AS t WHERE t.provider_router_id = every.id AND t.address = every.address)
ORDER BY random() LIMIT 1;

-- transit_address.release
DELETE FROM transit_address WHERE owner_id = ANY($1);

-- virtual_machine.count_in_scope
SELECT count(*) AS count FROM virtual_machine WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2);

-- virtual_machine.count_in_zone
SELECT count(*) AS machines FROM virtual_machine WHERE zone_id = $1 AND lifecycle <> 'FAILED';

-- virtual_machine.count_on_host
SELECT count(*) AS machines FROM virtual_machine WHERE host_id = $1 AND lifecycle <> 'FAILED';

-- virtual_machine.deletable_in_scope
SELECT id FROM virtual_machine WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int;

-- virtual_machine.emptying_hosts
SELECT h.id FROM host AS h
WHERE h.id IN ((SELECT m.host_id FROM virtual_machine AS m WHERE m.id = $1), $2::text) AND h.intent = 'MAINTENANCE' AND NOT h.vacant
ORDER BY h.id;

-- virtual_machine.find
SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine WHERE id = ANY($1);

-- virtual_machine.find_by_name
SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine WHERE project_id = $1 AND name = $2;

-- virtual_machine.find_instances
SELECT instance_id AS id FROM virtual_machine WHERE instance_id = ANY($1)
UNION SELECT successor_id FROM virtual_machine WHERE successor_id = ANY($1);

-- virtual_machine.find_of_owners
SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine WHERE owner_id = ANY($1) ORDER BY owner_id, name;

-- virtual_machine.find_visible
SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[])) AND id = ANY($4);

-- virtual_machine.list.CREATED#00f47378
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.created_at, t.id) > ($10::text::timestamptz, $11::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $12::int;

-- virtual_machine.list.CREATED#881064af
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- virtual_machine.list.CREATED#a410b858
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.created_at, t.id) < ($10::text::timestamptz, $11::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $12::int;

-- virtual_machine.list.CREATED#e0700e2e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- virtual_machine.list.NAME#384c1383
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.name, t.id) > ($10::text::text, $11::text)
ORDER BY t.name ASC, t.id ASC LIMIT $12::int;

-- virtual_machine.list.NAME#eda013f6
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.name, t.id) < ($10::text::text, $11::text)
ORDER BY t.name DESC, t.id DESC LIMIT $12::int;

-- virtual_machine.list.NAME#f3cf5a42
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $10::int;

-- virtual_machine.list.NAME#f68986bd
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $10::int;

-- virtual_machine.list.NEWEST#00f47378
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.created_at, t.id) > ($10::text::timestamptz, $11::text)
ORDER BY t.created_at ASC, t.id ASC LIMIT $12::int;

-- virtual_machine.list.NEWEST#881064af
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.created_at DESC, t.id DESC LIMIT $10::int;

-- virtual_machine.list.NEWEST#a410b858
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t WHERE (t.created_at, t.id) < ($10::text::timestamptz, $11::text)
ORDER BY t.created_at DESC, t.id DESC LIMIT $12::int;

-- virtual_machine.list.NEWEST#e0700e2e
SELECT t.*, t.created_at::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t 
ORDER BY t.created_at ASC, t.id ASC LIMIT $10::int;

-- virtual_machine.list.count#0ae1759d
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
created_at, updated_at FROM virtual_machine AS m
WHERE ($1::boolean OR m.tenant_id = ANY($2::text[]) OR m.project_id = ANY($3::text[]))
AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
AND ($8::text IS NULL OR name = $8)
AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))) AS t;

-- virtual_machine.list_in_scope
SELECT id, name FROM virtual_machine WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id LIMIT $3::int;

-- virtual_machine.lock_plain_user_data
SELECT id, tenant_id, project_id, user_data FROM virtual_machine WHERE user_data <> ''
ORDER BY id LIMIT $1::int FOR UPDATE SKIP LOCKED;

-- virtual_machine.lock_unmade
SELECT id, backend_id, instance_id FROM virtual_machine WHERE id = ANY($1) AND lifecycle IN ('CREATING', 'FAILED') ORDER BY id FOR UPDATE;

-- virtual_machine.mark_failed
UPDATE virtual_machine SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END,
failure = $2::jsonb, observed_power = 'UNKNOWN', observed_at = now()
WHERE id = $1;

-- virtual_machine.mark_kept
UPDATE virtual_machine SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1;

-- virtual_machine.mark_present
UPDATE virtual_machine SET lifecycle = 'PRESENT', observed_power = $2, observed_at = now(), observed_reason = NULL,
failure = NULL WHERE id = $1;

-- virtual_machine.mark_silent
WITH silent AS (
SELECT m.id, format(CASE WHEN h.health = 'DOWN' AND h.fence = 'PROVEN_OFF' THEN 'Its host is proven to be off; it is silent since %s.'
ELSE 'Its host is silent since %s.' END, to_char(h.health_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS reason
FROM host AS h JOIN virtual_machine AS m ON m.host_id = h.id
WHERE h.health <> 'UP' AND ($1::text[] IS NULL OR h.id = ANY ($1)) AND m.lifecycle = 'PRESENT'
), locked AS (
SELECT m.id, silent.reason FROM silent JOIN virtual_machine AS m ON m.id = silent.id
WHERE m.lifecycle = 'PRESENT' AND (m.observed_power <> 'UNKNOWN' OR m.observed_reason IS DISTINCT FROM silent.reason)
ORDER BY m.id LIMIT $2::int FOR UPDATE OF m
)
UPDATE virtual_machine AS m SET observed_power = 'UNKNOWN', observed_at = now(), observed_reason = locked.reason
FROM locked WHERE m.id = locked.id RETURNING m.id;

-- virtual_machine.move_to_host
UPDATE virtual_machine SET host_id = $2, rack_id = $3 WHERE id = $1;

-- virtual_machine.note_disks_changed
UPDATE virtual_machine SET observed_at = now(), drift = CASE drift ->> 'code' WHEN 'DISKS_DIFFER' THEN NULL ELSE drift END
WHERE id = $1 AND lifecycle = 'PRESENT';

-- virtual_machine.of_storage_policy
SELECT count(*) AS count FROM (SELECT 1 FROM virtual_machine WHERE storage_policy_id = $1 LIMIT 100000) AS used;

-- virtual_machine.on_host
SELECT m.id, m.name, m.owner_id, m.affinity_group_id, m.tenant_id, m.project_id, m.backend_id, m.rack_id, m.lifecycle, m.desired_power, m.observed_power,
coalesce(local.ids, '{}') AS local_disk_ids, coalesce(local.data_ids, '{}') AS local_data_disk_ids, busy.id AS busy_operation_id, busy.kind AS busy_operation_kind
FROM virtual_machine AS m
LEFT JOIN LATERAL (
SELECT array_agg(d.id ORDER BY d.id) AS ids, array_agg(d.id ORDER BY d.id) FILTER (WHERE d.attachment IS NOT NULL) AS data_ids
FROM disk AS d WHERE d.owner_id = m.id AND d.host_id = m.host_id
) AS local ON true
LEFT JOIN LATERAL (
SELECT o.id, o.kind FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
WHERE l.resource_id IN (m.id, m.owner_id) ORDER BY l.resource_id = m.id DESC LIMIT 1
) AS busy ON true
WHERE m.host_id = $1 AND m.lifecycle <> 'FAILED' ORDER BY m.id LIMIT $2::int;

-- virtual_machine.owners_on_hosts
SELECT DISTINCT owner_id FROM virtual_machine WHERE host_id = ANY($1) AND owner_id IS NOT NULL ORDER BY owner_id;

-- virtual_machine.remove
DELETE FROM virtual_machine WHERE id = $1;

-- virtual_machine.remove_all
DELETE FROM virtual_machine WHERE id = ANY($1);

-- virtual_machine.restore_power
UPDATE virtual_machine SET desired_power = $2, version = version + 1 WHERE id = $1 AND desired_power <> $2;

-- virtual_machine.restore_size
UPDATE virtual_machine SET flavor_id = $2, cpu = $3, memory_mib = $4, version = version + 1
WHERE id = $1 AND (flavor_id, cpu, memory_mib) IS DISTINCT FROM ($2::text, $3::int, $4::int);

-- virtual_machine.set_sealed_user_data
UPDATE virtual_machine AS m SET user_data = '', user_data_secret = s.secret_id
FROM unnest($1::text[], $2::text[]) AS s (id, secret_id) WHERE m.id = s.id;

-- virtual_machine.to_realise
SELECT m.id, m.name, m.tenant_id, m.project_id, m.backend_id, m.instance_id, m.host_id, i.reference AS image_reference,
m.cpu, m.memory_mib, m.user_data, m.user_data_secret, m.desired_power, m.lifecycle
FROM virtual_machine AS m JOIN image AS i ON i.id = m.image_id WHERE m.id = $1;

-- zone.find
SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE id = ANY($1);

-- zone.find_by_reference
SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE id = ANY($1) OR name = ANY($1);

-- zone.list.NAME#425d8ea8
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) > ($3::text::text, $4::text)
ORDER BY t.name ASC, t.id ASC LIMIT $5::int;

-- zone.list.NAME#5cd1ab06
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name DESC, t.id DESC LIMIT $3::int;

-- zone.list.NAME#5d185b63
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)) AS t WHERE (t.name, t.id) < ($3::text::text, $4::text)
ORDER BY t.name DESC, t.id DESC LIMIT $5::int;

-- zone.list.NAME#6383c710
SELECT t.*, t.name::text AS keyset_key FROM (SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)) AS t 
ORDER BY t.name ASC, t.id ASC LIMIT $3::int;

-- zone.list.count#431f49af
SELECT count(*) AS count FROM (SELECT id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)) AS t;

-- zone.remove_pending
DELETE FROM zone WHERE id = $1 AND state = 'PENDING_DELETE';

-- zone.uses
SELECT * FROM (
SELECT 'racks' AS users, count(*) AS count FROM rack WHERE zone_id = $1
UNION ALL SELECT 'hosts', count(*) FROM host WHERE zone_id = $1
UNION ALL SELECT 'datastores', count(*) FROM datastore WHERE zone_id = $1
) AS uses WHERE count > 0;

-- zone_grant.of_tenant
SELECT id, zone_id, version FROM zone_grant WHERE tenant_id = $1 ORDER BY zone_id;

-- zone_grant.usable
SELECT z.*, t.id AS user_id FROM tenant AS t CROSS JOIN zone AS z
WHERE t.id = ANY($1) AND z.state = 'ACTIVE'
AND (t.all_zones OR EXISTS (SELECT FROM zone_grant AS g WHERE g.tenant_id = t.id AND g.zone_id = z.id))
ORDER BY t.id, z.name LIMIT 10000;
