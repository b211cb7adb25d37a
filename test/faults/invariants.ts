import { statement } from '#database';
import type { NetworkPartDetail, WorldObject } from '#driver-simulated';
import { auditCounters } from '#quota';
import { auditClaims } from '#placement';
import type { Stage } from './bench/lane.js';
import { uplinkClaims } from './uplink-claims.js';

interface Violation {
  violation: string;
}

type OfTenant = [tenantId: string];

/** Everything that is charged, with its charge as it should be. */
const LIVING = `living AS (
  SELECT id, jsonb_build_object('vm.count', 1, 'vm.cpu', cpu, 'vm.memory', memory_mib) AS amounts
  FROM virtual_machine WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('disk.count', 1, 'disk.capacity', size_gib) FROM disk WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('snapshot.count', 1) FROM disk_snapshot WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('port.count', 1) FROM port WHERE tenant_id = $1
  UNION ALL SELECT id, jsonb_build_object('network.count', 1) FROM network WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('load_balancer.count', 1) FROM load_balancer WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('router.count', 1) FROM router WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
  UNION ALL SELECT id, jsonb_build_object('floating_ip.count', 1) FROM floating_ip WHERE tenant_id = $1
  UNION ALL SELECT id, jsonb_build_object('security_group.count', 1) FROM security_group WHERE tenant_id = $1
  UNION ALL SELECT id, jsonb_build_object('cluster.count', 1) FROM cluster WHERE tenant_id = $1 AND lifecycle <> 'FAILED')`;

const charges = statement<Violation, OfTenant>(
  'faults.charges',
  `WITH ${LIVING}, charged AS (
     SELECT resource_id, jsonb_object_agg(resource_key, amount) AS amounts FROM quota_charge WHERE tenant_id = $1 GROUP BY resource_id)
   SELECT concat('charge without a living resource: ', c.resource_id, ' ', c.amounts) AS violation
   FROM charged AS c WHERE NOT EXISTS (SELECT FROM living AS l WHERE l.id = c.resource_id)
   UNION ALL
   SELECT concat('living resource without its charge: ', l.id, ' ', l.amounts, ', charged ', c.amounts)
   FROM living AS l LEFT JOIN charged AS c ON c.resource_id = l.id WHERE c.amounts IS NULL OR NOT c.amounts @> l.amounts`,
);

const claims = statement<Violation, OfTenant>(
  'faults.claims',
  `SELECT concat('host claim without its machine: ', c.resource_id, ' on ', c.host_id) AS violation
   FROM host_claim AS c WHERE c.tenant_id = $1 AND NOT EXISTS (
     SELECT FROM virtual_machine AS m WHERE m.id = c.resource_id AND m.lifecycle <> 'FAILED' AND m.host_id = c.host_id
       AND m.cpu = c.cpu AND m.memory_mib = c.memory_mib)
   UNION ALL
   SELECT concat('machine without its host claim: ', m.id, ' on ', m.host_id)
   FROM virtual_machine AS m WHERE m.tenant_id = $1 AND m.lifecycle <> 'FAILED'
     AND NOT EXISTS (SELECT FROM host_claim AS c WHERE c.resource_id = m.id AND c.host_id = m.host_id)
   UNION ALL
   SELECT concat('datastore claim without its disk: ', c.resource_id, ' on ', c.datastore_id, ' of ', c.gib, ' GiB')
   FROM datastore_claim AS c WHERE c.tenant_id = $1 AND NOT EXISTS (
     SELECT FROM disk AS d WHERE d.id = c.resource_id AND d.lifecycle <> 'FAILED' AND d.datastore_id = c.datastore_id AND d.size_gib = c.gib)
   UNION ALL
   SELECT concat('disk without its datastore claim: ', d.id)
   FROM disk AS d WHERE d.tenant_id = $1 AND d.lifecycle <> 'FAILED'
     AND NOT EXISTS (SELECT FROM datastore_claim AS c WHERE c.resource_id = d.id AND c.datastore_id = d.datastore_id)
   UNION ALL
   SELECT concat('local disk of a machine on another host: ', d.id, ' of ', m.id)
   FROM disk AS d JOIN virtual_machine AS m ON m.id = d.owner_id
   WHERE d.tenant_id = $1 AND d.host_id IS NOT NULL AND d.host_id <> m.host_id
   UNION ALL
   SELECT concat('port on another host than its machine: ', p.id, ' of ', m.id)
   FROM port AS p JOIN virtual_machine AS m ON m.id = p.owner_id WHERE p.tenant_id = $1 AND p.host_id <> m.host_id
   UNION ALL
   SELECT concat('address without its owner: ', host(a.address), ' of ', a.owner_id)
   FROM address_allocation AS a WHERE a.tenant_id = $1
     AND NOT EXISTS (SELECT FROM port AS p WHERE p.id = a.owner_id AND p.address = a.address)
     AND NOT EXISTS (SELECT FROM load_balancer AS l WHERE l.id = a.owner_id AND l.address = a.address AND l.lifecycle <> 'FAILED')
     AND NOT EXISTS (SELECT FROM subnet AS s WHERE s.id = a.owner_id AND s.health_check_address = a.address)
   UNION ALL
   SELECT concat('port or load balancer without its address: ', o.id)
   FROM (SELECT id FROM port WHERE tenant_id = $1 UNION ALL SELECT id FROM load_balancer WHERE tenant_id = $1 AND lifecycle <> 'FAILED') AS o
   WHERE NOT EXISTS (SELECT FROM address_allocation AS a WHERE a.owner_id = o.id)
   UNION ALL
   SELECT concat('external address without its owner: ', host(a.address), ' of ', a.owner_id)
   FROM external_address AS a WHERE a.tenant_id = $1
     AND NOT EXISTS (SELECT FROM router AS r WHERE r.id = a.owner_id AND r.external_address = a.address AND r.lifecycle <> 'FAILED')
     AND NOT EXISTS (SELECT FROM floating_ip AS f WHERE f.id = a.owner_id AND f.address = a.address)`,
);

const operations = statement<Violation, [tenantId: string, rootId: string]>(
  'faults.operations',
  `SELECT concat('operation neither ended nor moving: ', kind, ' ', id, ' ', state, ' ', blocker ->> 'message') AS violation
   FROM operation WHERE ended_at IS NULL AND (tenant_id = $1 OR root_id = $2)
   UNION ALL
   SELECT concat('lock of an operation that has ended: ', l.resource_id, ' by ', l.root_operation_id)
   FROM resource_lock AS l LEFT JOIN operation AS o ON o.id = l.root_operation_id
   WHERE (o.id IS NULL OR o.ended_at IS NOT NULL)
   UNION ALL
   SELECT concat('steps do not fit the end of: ', kind, ' ', id, ' ', state, ' with ', steps_done, ' done')
   FROM operation WHERE ended_at IS NOT NULL AND (tenant_id = $1 OR root_id = $2)
     AND ((state = 'SUCCEEDED') <> (steps_done = cardinality(step_names)) OR (state <> 'SUCCEEDED' AND steps_done <> 0 AND abandonment IS NULL))`,
);

/** Rows that no operation is at any more must rest in a state of rest. */
const resting = statement<Violation, OfTenant>(
  'faults.resting',
  `SELECT concat('at rest in the middle of something: ', id, ' ', lifecycle) AS violation FROM (
     SELECT id, lifecycle FROM virtual_machine WHERE tenant_id = $1 UNION ALL SELECT id, lifecycle FROM disk WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM disk_snapshot WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM network WHERE tenant_id = $1 UNION ALL SELECT id, lifecycle FROM subnet WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM port WHERE tenant_id = $1 UNION ALL SELECT id, lifecycle FROM load_balancer WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM router WHERE tenant_id = $1 UNION ALL SELECT id, lifecycle FROM floating_ip WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM security_group WHERE tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM firewall_policy WHERE scope_tenant_id = $1
     UNION ALL SELECT id, lifecycle FROM cluster WHERE tenant_id = $1 UNION ALL SELECT id, lifecycle FROM node_pool WHERE tenant_id = $1) AS thing
   WHERE lifecycle NOT IN ('PRESENT', 'FAILED')
   UNION ALL
   SELECT concat('on its way from or to a machine: ', id, ' ', attachment) FROM disk WHERE tenant_id = $1 AND attachment <> 'ATTACHED'
   UNION ALL
   SELECT concat('of something that is gone or has failed: ', what, ' ', id) FROM (
     SELECT 'disk' AS what, d.id, d.owner_id FROM disk AS d WHERE d.tenant_id = $1 AND d.owner_id IS NOT NULL
     UNION ALL SELECT 'port', p.id, p.owner_id FROM port AS p WHERE p.tenant_id = $1
     UNION ALL SELECT 'secret', s.id, s.owner_id FROM secret AS s WHERE s.tenant_id = $1
     UNION ALL SELECT 'node', n.id, n.machine_id FROM cluster_node AS n WHERE n.tenant_id = $1
     UNION ALL SELECT 'node', n.id, n.cluster_id FROM cluster_node AS n WHERE n.tenant_id = $1
     UNION ALL SELECT 'machine', m.id, m.owner_id FROM virtual_machine AS m WHERE m.tenant_id = $1 AND m.owner_id IS NOT NULL
     UNION ALL SELECT 'load balancer', l.id, l.owner_id FROM load_balancer AS l WHERE l.tenant_id = $1 AND l.owner_id IS NOT NULL
     UNION ALL SELECT 'affinity group', g.id, g.owner_id FROM affinity_group AS g WHERE g.tenant_id = $1 AND g.owner_id IS NOT NULL) AS part
   WHERE NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.id = part.owner_id AND m.lifecycle <> 'FAILED')
     AND NOT EXISTS (SELECT FROM cluster AS c WHERE c.id = part.owner_id AND c.lifecycle <> 'FAILED')
     AND NOT EXISTS (SELECT FROM principal AS p WHERE p.id = part.owner_id)
   UNION ALL
   SELECT concat('buried, but it lives: ', t.object_kind, ' ', t.object_id)
   FROM tombstone AS t JOIN (
     SELECT instance_id AS id FROM virtual_machine WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
     UNION ALL SELECT id FROM disk WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
     UNION ALL SELECT id FROM port WHERE tenant_id = $1 UNION ALL SELECT id FROM network WHERE tenant_id = $1 AND lifecycle <> 'FAILED'
     UNION ALL SELECT id FROM router WHERE tenant_id = $1 AND lifecycle <> 'FAILED' UNION ALL SELECT id FROM floating_ip WHERE tenant_id = $1
     UNION ALL SELECT id FROM security_group WHERE tenant_id = $1
     UNION ALL SELECT id FROM load_balancer WHERE tenant_id = $1 AND lifecycle <> 'FAILED') AS l ON l.id = t.object_id`,
);

/** Between operations a cluster has no token for newcomers, its nodes are in it for good, and its pools are as large as they say. */
const clusters = statement<Violation, OfTenant>(
  'faults.clusters',
  `SELECT concat('token for joining left: ', id) AS violation FROM cluster WHERE tenant_id = $1 AND join_secret IS NOT NULL
   UNION ALL SELECT concat('node neither in its cluster nor out: ', id, ' ', phase) FROM cluster_node WHERE tenant_id = $1 AND phase <> 'JOINED'
   UNION ALL
   SELECT concat('secret of a cluster missing: ', c.id) FROM cluster AS c
   WHERE c.tenant_id = $1 AND c.lifecycle = 'PRESENT' AND NOT EXISTS (SELECT FROM secret AS s WHERE s.id = c.pki_secret)
   UNION ALL
   SELECT concat('member of a load balancer that is no control node: ', m.port_id)
   FROM load_balancer_member AS m JOIN load_balancer AS l ON l.id = m.load_balancer_id JOIN port AS p ON p.id = m.port_id
   WHERE l.tenant_id = $1 AND l.owner_id IS NOT NULL
     AND NOT EXISTS (SELECT FROM cluster_node AS n WHERE n.machine_id = p.owner_id AND n.role = 'CONTROL')
   UNION ALL
   SELECT concat('pool of ', p.count, ' with ', count(n.id), ' nodes: ', p.id)
   FROM node_pool AS p LEFT JOIN cluster_node AS n ON n.pool_id = p.id
   WHERE p.tenant_id = $1 AND p.lifecycle = 'PRESENT' GROUP BY p.id
   HAVING count(n.id) > p.count OR (count(n.id) < p.count AND NOT EXISTS (
     SELECT FROM operation AS o WHERE o.resource_id = p.cluster_id AND o.kind = 'clusters.cluster.heal' AND o.state <> 'SUCCEEDED'))`,
);

/** What was metered of one thing never overlaps, and goes on to this day in its charge. */
const metering = statement<Violation, OfTenant>(
  'faults.metering',
  `WITH span AS (
     SELECT resource_id, resource_key, from_at, to_at FROM metering_record WHERE tenant_id = $1
     UNION ALL SELECT resource_id, resource_key, charged_at, NULL FROM quota_charge WHERE tenant_id = $1
   ), placed AS (
     SELECT *, lag(coalesce(to_at, 'infinity')) OVER (PARTITION BY resource_id, resource_key ORDER BY from_at, to_at NULLS LAST) AS before FROM span)
   SELECT concat('metered twice: ', resource_id, ' ', resource_key) AS violation FROM placed WHERE before > from_at`,
);

/**
 * What the backend shall have; `maybe` need not be there, and is no orphan. No listing tells of snapshots: one that came after
 * its taking was given up goes with its row, which is there until somebody deletes it, or with its disk.
 */
interface Expected {
  kind: WorldObject['kind'];
  id: string;
  maybe: boolean;
}

const expectedObjects = statement<Expected, [tenantId: string, backendId: string]>(
  'faults.expected',
  `SELECT 'MACHINE' AS kind, instance_id AS id, false AS maybe FROM virtual_machine WHERE tenant_id = $1 AND backend_id = $2 AND lifecycle = 'PRESENT'
   UNION ALL SELECT 'DISK', id, false FROM disk WHERE tenant_id = $1 AND backend_id = $2 AND lifecycle = 'PRESENT'
   UNION ALL SELECT 'SNAPSHOT', s.id, s.lifecycle = 'FAILED' FROM disk_snapshot AS s JOIN disk AS d ON d.id = s.disk_id
   WHERE s.tenant_id = $1 AND d.backend_id = $2
   UNION ALL SELECT 'PORT', id, false FROM port WHERE tenant_id = $1 AND backend_id = $2
   UNION ALL SELECT 'LOAD_BALANCER', id, false FROM load_balancer WHERE tenant_id = $1 AND backend_id = $2 AND lifecycle = 'PRESENT'
   UNION ALL SELECT 'ROUTER', id, false FROM router WHERE tenant_id = $1 AND backend_id = $2 AND lifecycle = 'PRESENT'
   UNION ALL SELECT 'FLOATING_IP', id, false FROM floating_ip WHERE tenant_id = $1 AND network_id IS NOT NULL AND lifecycle = 'PRESENT'
   UNION ALL SELECT 'SECURITY_GROUP', g.id, b.realised_revision = 0 FROM security_group AS g
   JOIN security_group_backend AS b ON b.security_group_id = g.id
   WHERE g.tenant_id = $1 AND b.backend_id = $2 AND g.lifecycle = 'PRESENT'
   UNION ALL SELECT 'NETWORK', n.id, b.realised_revision = 0 FROM network AS n JOIN network_backend AS b ON b.network_id = n.id
   WHERE n.tenant_id = $1 AND b.backend_id = $2 AND n.lifecycle = 'PRESENT'`,
);

interface MachineRow {
  id: string;
  instance_id: string;
  cpu: number;
  memory_mib: number;
  host_name: string;
  desired_power: string;
  observed_power: string;
}

const machines = statement<MachineRow, OfTenant>(
  'faults.machines',
  `SELECT m.id, m.instance_id, m.cpu, m.memory_mib, h.name AS host_name, m.desired_power, m.observed_power
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id WHERE m.tenant_id = $1 AND m.lifecycle = 'PRESENT'`,
);

const disks = statement<{ id: string; wanted: string; shown: string; holder: string | null }, OfTenant>(
  'faults.disks',
  `SELECT d.id, concat(d.size_gib, ' GiB, limit ', coalesce(d.iops_limit::text, 'none')) AS wanted,
     concat(d.realised_gib, ' GiB, limit ', coalesce(d.realised_iops_limit::text, 'none')) AS shown, m.instance_id AS holder
   FROM disk AS d LEFT JOIN virtual_machine AS m ON m.id = d.owner_id WHERE d.tenant_id = $1 AND d.lifecycle = 'PRESENT'`,
);

interface PartRow {
  id: string;
  desired: number;
  realised: number;
  /** What the backend shall have been told, as text. */
  content: string;
}

const parts = statement<PartRow, [tenantId: string, backendId: string]>(
  'faults.parts',
  `SELECT p.id, p.desired_revision AS desired, p.realised_revision AS realised, concat_ws(' ', host(p.address), p.mac_address, h.name, (
     SELECT string_agg(m.security_group_id, ' ' ORDER BY m.security_group_id) FROM port_security_group AS m WHERE m.port_id = p.id)) AS content
   FROM port AS p JOIN host AS h ON h.id = p.host_id WHERE p.tenant_id = $1 AND p.backend_id = $2
   UNION ALL
   SELECT l.id, l.desired_revision, l.realised_revision, concat_ws(' ', host(l.address), (
     SELECT string_agg(concat(i.port, ':', host(p.address), ':', i.member_port), ' ' ORDER BY i.port, host(p.address))
     FROM load_balancer_listener AS i JOIN load_balancer_member AS m ON m.load_balancer_id = l.id JOIN port AS p ON p.id = m.port_id
     WHERE i.load_balancer_id = l.id))
   FROM load_balancer AS l WHERE l.tenant_id = $1 AND l.backend_id = $2 AND l.lifecycle = 'PRESENT'
   UNION ALL
   SELECT r.id, r.desired_revision, r.realised_revision, concat_ws(' ', host(r.external_address), host(r.transit_address), r.provider_router_id, r.source_nat, (
     SELECT string_agg(concat(n.link, ':', n.network_id), ' ' ORDER BY n.link) FROM router_network AS n WHERE n.router_id = r.id))
   FROM router AS r WHERE r.tenant_id = $1 AND r.backend_id = $2 AND r.lifecycle = 'PRESENT'
   UNION ALL
   SELECT f.id, f.desired_revision, f.realised_revision, concat_ws(' ', host(f.address), (
     SELECT concat(t.provider_router_id, ' ', host(t.address)) FROM transit_address AS t WHERE t.owner_id = f.id), coalesce(f.port_id, f.load_balancer_id))
   FROM floating_ip AS f WHERE f.tenant_id = $1 AND f.network_id IS NOT NULL AND f.lifecycle = 'PRESENT'
   UNION ALL
   SELECT g.id, g.desired_revision, b.realised_revision, coalesce((
     SELECT string_agg(concat(r ->> 'direction', ':', r ->> 'protocol'), ' ' ORDER BY place)
     FROM jsonb_array_elements(g.rules) WITH ORDINALITY AS rules (r, place)), '')
   FROM security_group AS g JOIN security_group_backend AS b ON b.security_group_id = g.id
   WHERE g.tenant_id = $1 AND b.backend_id = $2 AND g.lifecycle = 'PRESENT' AND b.realised_revision > 0
   UNION ALL
   SELECT n.id, n.desired_revision, b.realised_revision, coalesce((
     SELECT string_agg(s.cidr::text, ' ' ORDER BY s.id) FROM subnet AS s WHERE s.network_id = n.id AND s.lifecycle = 'PRESENT'), '')
   FROM network AS n JOIN network_backend AS b ON b.network_id = n.id
   WHERE n.tenant_id = $1 AND b.backend_id = $2 AND n.lifecycle = 'PRESENT' AND b.realised_revision > 0`,
);

/** Which revision the backend shall have for the stage's tenant. */
const firewall = statement<{ needed: number; realised: number }, [tenantId: string, backendId: string]>(
  'faults.firewall',
  `SELECT s.changed_revision AS needed, coalesce(r.realised_revision, 0) AS realised
   FROM firewall_scope AS s LEFT JOIN firewall_backend AS r ON r.backend_id = $2
   WHERE s.tenant_id = $1 AND EXISTS (SELECT FROM network_backend AS b WHERE b.backend_id = $2)`,
);

const actionsInForce = statement<{ action: string }, OfTenant>(
  'faults.actions_in_force',
  `SELECT rules -> 0 ->> 'action' AS action FROM firewall_policy
   WHERE scope_tenant_id = $1 AND lifecycle IN ('CREATING', 'PRESENT') ORDER BY position`,
);

/** Everything that is not as it must be once nothing moves any more on the stage; empty is what it should be. */
export async function violationsOn(stage: Stage, rootId: string): Promise<string[]> {
  const { database } = stage.bench;
  const { tenantId } = stage;
  const found = await Promise.all([
    database.rows(charges, tenantId),
    database.rows(claims, tenantId),
    database.rows(uplinkClaims, tenantId),
    database.rows(operations, tenantId, rootId),
    database.rows(resting, tenantId),
    database.rows(clusters, tenantId),
    database.rows(metering, tenantId),
  ]);
  const texts = found.flat().map((row) => row.violation);
  const remarks = (await stage.world.remarks?.(tenantId)) ?? [];
  return [
    ...texts,
    ...(await drift(stage)),
    ...(await orphans(stage)),
    ...(await differences(stage)),
    ...(await firewallDiffers(stage)),
    ...remarks,
  ];
}

async function drift({ bench, tenantId, hostIds }: Stage): Promise<string[]> {
  const [counters, held] = await Promise.all([auditCounters(bench.database), auditClaims(bench.database)]);
  return [
    ...counters.drift
      .filter((row) => row.tenant_id === tenantId)
      .map((row) => `counter drifted: ${row.resource_key} of ${row.scope_id} says ${row.recorded}, charges sum to ${row.expected}`),
    ...held
      .filter((row) => row.kind === 'DATASTORE' || hostIds.includes(row.holder_id))
      .map((row) => `capacity drifted: ${row.resource} of ${row.holder_id} says ${row.counted}, claims sum to ${row.claimed}`),
  ];
}

async function orphans({ bench, world, tenantId, backendId }: Stage): Promise<string[]> {
  const present = (await world.objects()).filter((each) => each.tenantId === tenantId);
  const expected = await bench.database.rows(expectedObjects, tenantId, backendId);
  const wanted = new Set(expected.map((each) => `${each.kind} ${each.id}`));
  const there = new Set(present.map((each) => `${each.kind} ${each.id}`));
  return [
    ...[...there].filter((each) => !wanted.has(each)).map((each) => `orphan in the backend: ${each}`),
    ...expected.filter((each) => !each.maybe && !there.has(`${each.kind} ${each.id}`)).map((each) => `missing in the backend: ${each.kind} ${each.id}`),
  ];
}

/** What is there must be as its row says. */
async function differences({ bench, world, tenantId, backendId }: Stage): Promise<string[]> {
  const found: string[] = [];
  for (const row of await bench.database.rows(machines, tenantId)) {
    const real = await world.machine(row.instance_id);
    if (real === undefined) continue;
    const wanted = `${row.cpu} cpu, ${row.memory_mib} MiB, ${row.desired_power} on ${row.host_name}`;
    const seen = `${real.cpu} cpu, ${real.memoryMib} MiB, ${real.power} on ${real.hostName}`;
    if (wanted !== seen) found.push(`machine ${row.id} is (${seen}) and shall be (${wanted})`);
    if (row.observed_power !== real.power) found.push(`machine ${row.id} is shown as ${row.observed_power} and is ${real.power}`);
  }
  const { storage } = await bench.house.drivers.driver(backendId);
  const call = { idempotencyKey: 'faults/look', timeoutMs: 10_000, signal: new AbortController().signal };
  for (const row of await bench.database.rows(disks, tenantId)) {
    const real = await storage.getDisk(call, row.id);
    if (real === undefined) continue;
    if (real.attachedTo !== row.holder) found.push(`disk ${row.id} is attached to ${real.attachedTo} and shall be to ${row.holder}`);
    const has = `${real.sizeGib} GiB, limit ${real.iopsLimit ?? 'none'}`;
    if (has === row.wanted && row.shown === row.wanted) continue;
    found.push(`disk ${row.id} has (${has}), shall have (${row.wanted}) and is shown with (${row.shown})`);
  }
  const told = new Map((await world.networkParts(tenantId)).map((part) => [part.id, part]));
  for (const row of await bench.database.rows(parts, tenantId, backendId)) {
    const real = told.get(row.id);
    if (real === undefined) continue;
    const wanted = `revision ${row.desired}: ${row.content}`;
    const seen = `revision ${real.revision}: ${contentOf(real)}`;
    if (wanted !== seen) found.push(`${row.id} is (${seen}) and shall be (${wanted})`);
    if (row.realised !== row.desired) found.push(`${row.id} is shown with revision ${row.realised} and has ${real.revision}`);
  }
  return found;
}

/** What operators say of the stage's tenant must be what the backend was told. */
async function firewallDiffers({ bench, world, tenantId, backendId }: Stage): Promise<string[]> {
  const row = await bench.database.first(firewall, tenantId, backendId);
  if (row === undefined) return [];
  if (row.realised < row.needed) return [`the firewall of ${backendId} is shown with revision ${row.realised} and needs ${row.needed}`];
  const [part] = (await world.networkParts('')).filter((each) => each.kind === 'FIREWALL');
  const told = (part?.specification['policies'] ?? []) as { scope: { tenantId?: string }; rules: Record<string, unknown>[] }[];
  const seen = told.filter((policy) => policy.scope.tenantId === tenantId).map((policy) => String(policy.rules[0]?.['action']));
  const wanted = await bench.database.rows(actionsInForce, tenantId);
  const shall = wanted.map((policy) => policy.action);
  return seen.join() === shall.join() ? [] : [`the firewall of ${backendId} says (${seen.join()}) and shall say (${shall.join()})`];
}

interface Told {
  subnets?: { subnetId: string; cidr: string }[];
  address?: string;
  ipAddress?: string;
  macAddress?: string;
  hostName?: string;
  networks?: { networkId: string; link: number }[];
  uplink?: { address: string; sourceNat: boolean; providerRouterId?: string } | null;
  transit?: { providerRouterId: string; address: string };
  target?: { portId?: string; loadBalancerId?: string };
  securityGroupIds?: string[];
  rules?: { direction: string; protocol: string }[];
  listeners?: { port: number; members: { address: string; port: number }[] }[];
}

/** What a backend was told of a part, in the words of the statement above. */
function contentOf({ kind, specification }: NetworkPartDetail): string {
  const told = specification as Told;
  const byId = (one: { subnetId: string }, other: { subnetId: string }): number => (one.subnetId < other.subnetId ? -1 : 1);
  if (kind === 'NETWORK') return [...(told.subnets ?? [])].sort(byId).map((subnet) => subnet.cidr).join(' ');
  if (kind === 'PORT') return [told.ipAddress, told.macAddress, told.hostName, ...(told.securityGroupIds ?? [])].join(' ');
  if (kind === 'SECURITY_GROUP') return (told.rules ?? []).map(({ direction, protocol }) => `${direction}:${protocol}`).join(' ');
  if (kind === 'ROUTER') {
    const links = [...(told.networks ?? [])].sort((one, other) => one.link - other.link).map(({ networkId, link }) => `${link}:${networkId}`);
    const uplink = told.uplink ?? null;
    const by = uplink?.providerRouterId === undefined ? [] : [uplink.providerRouterId];
    return [...(uplink === null ? [] : [uplink.address]), ...by, uplink?.sourceNat === true ? 't' : 'f', ...links].join(' ');
  }
  if (kind === 'FLOATING_IP') {
    const transit = told.transit === undefined ? [] : [told.transit.providerRouterId, told.transit.address];
    return [told.address, ...transit, told.target?.portId ?? told.target?.loadBalancerId].join(' ');
  }
  const members = (told.listeners ?? []).flatMap(({ port, members: all }) =>
    all.map((member) => member.address).sort().map((address) => `${port}:${address}:${all[0]?.port}`),
  );
  return [told.address, ...members].join(' ');
}
