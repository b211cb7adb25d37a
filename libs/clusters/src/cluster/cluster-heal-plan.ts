import { assert, MuonError } from '#core';
import { ChangeSet, type Reader } from '#database';
import type { Access } from '#identity';
import { lockResources, operationId, OPERATIONS } from '#operations';
import { CHARGES, findCharges, type ChargeRow, type NewCharge } from '#quota';
import type { ClusterFacts, NodeFacts } from '../guest/cluster-facts.js';
import type { HealingTarget } from '../health/healing.js';
import { isServing } from '../node/cluster-node.js';
import { newNodes, type NodeHome, type NodeKind, type PlanningTools } from '../node/node-plan.js';
import { homeOf, lockIdsOfMachines, planNewNodes, type PlannedGrowth } from '../node-pool/node-pool-plan.js';
import { agreementOf, refuseWithoutAgreement } from './agreement.js';
import { CLUSTER_HEAL, type HealInput } from './cluster-heal.operation.js';
import { flavorsById, lockScopes, requireActiveScopes, zoneChooser } from './cluster-resolve.js';
import { planControlReplacement } from './control-spread.js';
import { clusterId } from './cluster.js';

/**
 * Plans the replacement of one node as one change set: the new machine with everything it stands on, which takes over what
 * the lost one was charged, and the operation. What has no place, or more than the quota, is a problem of the plan. A lost
 * control node is rather replaced beside another one than not at all, and one that serves where the others can do without both.
 * @param access null when the reconciler asks
 * @throws INVALID_STATE while it is not proven that the lost machine is off or its deletion can prove it, and when too few
 *   control nodes would be left to agree
 */
export async function planHealing(
  reader: Reader,
  access: Access | null,
  tools: PlanningTools,
  facts: ClusterFacts,
  target: HealingTarget,
): Promise<ChangeSet> {
  const { row, pools } = facts;
  const place = { tenantId: row.tenant_id, projectId: row.project_id };
  await requireActiveScopes(reader, place);
  const lost = target.type === 'NODE' ? facts.nodes.find((node) => node.row.id === target.nodeId) : undefined;
  if (lost !== undefined) {
    refuseUnproven(lost);
    refuseWithoutQuorum(facts, lost);
  }
  const pool = target.poolId === null ? undefined : pools.find((each) => each.id === target.poolId);
  const flavorId = pool?.flavor_id ?? row.control_flavor_id;
  const flavor = (await flavorsById(reader, [flavorId])).get(flavorId);
  assert(flavor !== undefined, 'a flavor that was found is missing');
  const zoneIds = (await zoneChooser(reader, row.tenant_id))(pool?.zone_ids ?? row.control_zone_ids, 'zones');
  const kind: NodeKind = {
    role: target.role,
    pool: pool === undefined ? null : { id: pool.id, name: pool.name },
    flavor,
    zoneIds,
    field: 'input.id',
  };
  const [node] = newNodes(row.name, kind, 1);
  assert(node !== undefined, 'one node was asked for');
  const replacing = lost === undefined ? node : { ...node, replacesId: lost.row.machine_id };
  const home = await homeOf(reader, row);
  const plan = (inHome: NodeHome): Promise<PlannedGrowth> => planNewNodes(reader, access, tools, inHome, [replacing]);
  const serves = lost !== undefined && isServing(lost.row);
  const planned = target.role === 'CONTROL' ? await planControlReplacement(home, row.control_count, serves, plan) : await plan(home);
  const lostIds = lost === undefined ? [] : await lockIdsOfMachines(reader, [lost.row.machine_id]);
  const charges = lostIds.length === 0 ? [] : chargesOf(await reader.rows(findCharges, lostIds));
  const changes = new ChangeSet();
  // The replacement inherits: a full quota stands in nobody's way.
  changes.add(CHARGES, ...charges.map(({ resourceId }) => ({ action: 'REFUND' as const, resourceId })));
  changes.include(planned.changes);
  lockScopes(changes, place, 'ACTIVE');
  const operation = operationId.create();
  const balancer = target.role === 'CONTROL' && row.load_balancer_id !== null ? [row.load_balancer_id] : [];
  lockResources(changes, operation, [row.id, ...(pool === undefined ? [] : [pool.id]), ...balancer, ...lostIds, ...planned.lockIds]);
  const input: HealInput = {
    clusterId: row.id,
    role: target.role,
    lostMachineId: lost?.row.machine_id ?? null,
    replacementMachineId: node.machineId,
    lostCharges: charges,
  };
  const common = { id: operation, kind: CLUSTER_HEAL, resourceKind: clusterId.prefix, resourceId: row.id, ...place };
  changes.add(OPERATIONS, { ...common, input: { ...input } });
  if (lost !== undefined) changes.resources.push({ action: 'DELETE', kind: 'node', id: lost.row.id, name: lost.row.name });
  changes.resources.push({ action: 'CREATE', kind: 'node', id: node.id, name: node.name, data: { role: target.role } });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

/** Nothing is started elsewhere while the machine might still run and nobody could stop it. */
function refuseUnproven({ row, machine, hostState }: NodeFacts): void {
  const unknown = hostState === 'DOWN' || hostState === 'UNKNOWN';
  if (machine === undefined || machine.lifecycle === 'FAILED' || !unknown) return;
  throw new MuonError('INVALID_STATE', `Node "${row.name}" cannot be replaced before its host is proven to be off: it may still run.`, {
    fault: 'OPERATOR',
    data: { nodeId: row.id, hostId: machine.host_id, hostState: hostState ?? 'UNKNOWN' },
  });
}

/** What goes, goes first, and until the new one has joined the control nodes that are left must agree without it. */
function refuseWithoutQuorum(facts: ClusterFacts, lost: NodeFacts): void {
  const { role, phase, name, id } = lost.row;
  if (role === 'CONTROL' && phase === 'JOINED' && facts.row.control_count === 1) {
    throw new MuonError('INVALID_STATE', `Control node "${name}" cannot be replaced: it is the only one, and all that the cluster knows would be lost with it.`, {
      fault: 'OPERATOR',
      data: { nodeId: id },
    });
  }
  refuseWithoutAgreement(agreementOf(facts, lost), `Node "${name}" cannot be replaced`, { nodeId: id });
}

function chargesOf(rows: readonly ChargeRow[]): (NewCharge & { amounts: Record<string, number> })[] {
  return [...Map.groupBy(rows, (row) => row.resource_id)].map(([resourceId, parts]) => {
    const [first] = parts;
    assert(first !== undefined, 'a group has no rows');
    return {
      action: 'CHARGE',
      resourceId,
      resourceKind: first.resource_kind,
      tenantId: first.tenant_id,
      projectId: first.project_id,
      zoneId: first.zone_id === '' ? null : first.zone_id,
      amounts: Object.fromEntries(parts.map((part) => [part.resource_key, part.amount])),
    };
  });
}
