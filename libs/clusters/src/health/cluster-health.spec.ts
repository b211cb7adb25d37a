import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { blockers, clusterState, ClusterHostListener, nodeState, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { findMembers } from '#network';
import { findOperations, type OperationState } from '#operations';
import { findHostClaims } from '#placement';
import { auditCounters, QuotaService } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const used = statement<{ used_amount: number }, [scopeId: string]>(
  'spec.health_used',
  `SELECT used_amount FROM quota_counter WHERE scope_id = $1 AND resource_key = 'vm.count' AND zone_id = ''`,
);
const observation = statement<{ heal_failures: number; due: boolean }, [id: string]>(
  'spec.health_observation',
  `SELECT heal_failures, observed_at = '-infinity' AS due FROM cluster_observation WHERE cluster_id = $1`,
);

describe('clusters that lose nodes', () => {
  let bench: ClustersBench;
  let heartbeat: Heartbeat;
  const access = systemAccess();
  /** Believes everything at once, so that a spec need not wait; thresholds have a spec of their own. */
  const hasty: ClusterHealthOptions = { observeEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 0, maxFailures: 2 } };

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 7 });
    const { database, log } = bench.room;
    const news = new HostStateNews(log);
    news.register(new ClusterHostListener(database));
    heartbeat = new Heartbeat(database, bench.center.drivers, news, log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await beat();
  });
  afterEach(async () => {
    await bench.center.world.clearFaults();
    for (const host of await hosts()) await setHost(host, SimulatedHostState.ALIVE);
  });
  afterAll(() => bench.close());

  const beat = (): Promise<void> => heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const hostOf = async (node: ClusterNodeRow): Promise<HostRow> => {
    const { host_id } = await bench.machine(node.machine_id);
    return (await hosts()).find((host) => host.id === host_id) as HostRow;
  };
  async function setHost(host: HostRow, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost(host.name, state);
    const expected = { ALIVE: 'ACTIVE', DEAD: 'FENCED', PARTITIONED: 'DOWN' }[state];
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await beat();
      const [row] = await bench.room.database.rows(findHosts, [host.id]);
      if (row !== undefined && hostState(row) === expected) return;
      if (Date.now() > end) throw new Error(`${host.name} never became ${expected}`);
    }
  }
  /** Looks and heals until there is nothing more to do; how the operations on this cluster ended. */
  async function heal(cluster: ClusterRow): Promise<OperationState[]> {
    const all: OperationState[] = [];
    for (let round = 0; round < 8; round += 1) {
      const started = await bench.reconcile('cluster-health', hasty);
      // Those of other specs lose nodes with the same host.
      for (const id of started) {
        const { kind, state } = await bench.center.ended(id, 30_000);
        expect(kind).toBe('clusters.cluster.heal');
        const [operation] = await bench.room.database.rows(findOperations, [id]);
        if (operation?.resource_id === cluster.id) all.push(state);
      }
      if (started.length === 0) return all;
    }
    throw new Error(`cluster ${cluster.name} is never healed`);
  }
  const condition = async (cluster: ClusterRow, type: string) => (await bench.cluster(cluster.id)).conditions.find((each) => each.type === type);
  const nodesOf = async (cluster: ClusterRow, role: 'CONTROL' | 'WORKER') => (await bench.nodes(cluster.id)).filter((node) => node.role === role);
  const vms = async (cluster: ClusterRow): Promise<number> => (await bench.room.database.first(used, cluster.project_id))?.used_amount ?? 0;

  it('replace a control node whose host was killed and fenced: out of the load balancer, in with a new vote', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'phoenix');
    const before = await nodesOf(cluster, 'CONTROL');
    const lost = before[1] as ClusterNodeRow;
    await setHost(await hostOf(lost), SimulatedHostState.DEAD);
    expect(await bench.room.database.first(observation, cluster.id)).toMatchObject({ due: true });
    const healed = await heal(cluster);
    expect(healed.length).toBeGreaterThanOrEqual(1);
    const after = await bench.nodes(cluster.id);
    expect(after.map(nodeState)).toEqual(Array.from({ length: 5 }, () => 'READY'));
    expect(after.map((node) => node.id)).not.toContain(lost.id);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
    const controls = after.filter((node) => node.role === 'CONTROL');
    const members = await bench.room.database.rows(findMembers, [String(cluster.load_balancer_id)]);
    expect(members.map((member) => member.owner_id).sort()).toEqual(controls.map((node) => node.machine_id).sort());
    const asked = (await Promise.all(controls.map((node) => bench.center.world.guestRuns(node.machine_id)))).flat().map((run) => run.script);
    expect(asked.filter((script) => script.includes('etcdctl member remove'))).toHaveLength(1);
    expect(await vms(cluster)).toBe(5);
    expect(await bench.room.database.rows(findHostClaims, [lost.machine_id])).toEqual([]);
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  }, 60_000);

  it('wait while the host is only silent: it may still run', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'patient');
    const [worker] = await nodesOf(cluster, 'WORKER');
    const host = await hostOf(worker as ClusterNodeRow);
    await setHost(host, SimulatedHostState.PARTITIONED);
    expect(await heal(cluster)).toEqual([]);
    const silent = (await bench.nodes(cluster.id)).find((node) => node.id === worker?.id);
    expect(silent).toMatchObject({ health: 'UNREACHABLE', health_reason: 'HOST_SILENT' });
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'FALSE', reason: 'HOST_NOT_FENCED' });
    expect(clusterState(await bench.cluster(cluster.id))).toBe('DEGRADED');
    await expect(bench.clusters.replaceNode(access, String(worker?.id))).rejects.toMatchObject({ code: 'INVALID_STATE', fault: 'OPERATOR' });
    await setHost(host, SimulatedHostState.ALIVE);
    expect(await heal(cluster)).toEqual([]);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
  }, 60_000);

  it('inherit the quota of what they replace, also when it is full', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'heir', { controlPlane: { count: 1, flavor: 'small' } });
    const quota = new QuotaService(bench.room.database, bench.center.commands);
    await quota.setQuota(access, { scopeId: cluster.project_id, lines: [{ resourceKey: 'vm.count', limit: 3 }, { resourceKey: 'disk.capacity', limit: 30 }] });
    const [control] = await nodesOf(cluster, 'CONTROL');
    const worker = await onAnotherHost(cluster, control as ClusterNodeRow);
    await setHost(await hostOf(worker), SimulatedHostState.DEAD);
    const healed = await heal(cluster);
    expect(new Set(healed)).toEqual(new Set(['SUCCEEDED']));
    expect(await vms(cluster)).toBe(3);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
  }, 60_000);

  /** A worker that does not share its host with the control node. */
  async function onAnotherHost(cluster: ClusterRow, control: ClusterNodeRow): Promise<ClusterNodeRow> {
    const host = (await hostOf(control)).id;
    for (const node of await nodesOf(cluster, 'WORKER')) if ((await hostOf(node)).id !== host) return node;
    throw new Error('all workers share the control node’s host');
  }

  it('that cannot be healed keep trying later, then stop, and say why; a request by hand still works', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'luckless', { controlPlane: { count: 1, flavor: 'small' } });
    const [control] = await nodesOf(cluster, 'CONTROL');
    const worker = await onAnotherHost(cluster, control as ClusterNodeRow);
    await setHost(await hostOf(worker), SimulatedHostState.DEAD);
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine', times: 1000 });
    const first = await heal(cluster);
    expect(first).toEqual(['FAILED']);
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'FALSE', reason: 'HEALING_FAILED' });
    const left = await nodesOf(cluster, 'WORKER');
    expect(left.map((node) => node.id)).not.toContain(worker.id);
    expect(await condition(cluster, 'WORKERS_READY')).toMatchObject({ status: 'FALSE', reason: 'NODES_MISSING' });
    expect(await vms(cluster)).toBe(1 + left.length);
    const soon = `UPDATE cluster_observation SET heal_not_before = now() - interval '1 second' WHERE cluster_id = $1`;
    await bench.room.database.dataSource.query(soon, [cluster.id]);
    expect(await heal(cluster)).toHaveLength(1);
    expect(await bench.room.database.first(observation, cluster.id)).toMatchObject({ heal_failures: 2 });
    await bench.room.database.dataSource.query(soon, [cluster.id]);
    expect(await heal(cluster)).toEqual([]);
    expect((await condition(cluster, 'HEALABLE'))?.message).toContain('not tried any more');
    await bench.center.world.clearFaults();
    const replaced = await bench.clusters.replaceNode(access, String(left[0]?.id));
    expect(await bench.center.ended(replaced.result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.room.database.first(observation, cluster.id)).toMatchObject({ heal_failures: 0 });
    expect(await heal(cluster)).not.toEqual([]);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
    expect(await vms(cluster)).toBe(3);
  }, 60_000);

  it('are not healed past the loss of their quorum, and can be deleted all the same', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'headless', { controlPlane: { count: 1, flavor: 'small' } });
    const [control] = await nodesOf(cluster, 'CONTROL');
    await setHost(await hostOf(control as ClusterNodeRow), SimulatedHostState.DEAD);
    expect(await heal(cluster)).toEqual([]);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('UNAVAILABLE');
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'FALSE', reason: 'QUORUM_LOST' });
    // Nobody is needed alive to delete it.
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  }, 60_000);

  it('show a node that says it is not ready, and replace it in time although its host is well', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'fevered', { controlPlane: { count: 1, flavor: 'small' } });
    const [worker] = await nodesOf(cluster, 'WORKER');
    const machineId = String(worker?.machine_id);
    await bench.center.world.onGuestRun({ pattern: 'get node', machineId, exitCode: 1 });
    const slow = { ...hasty, limits: { ...hasty.limits, notReadyMs: 60_000 } };
    expect(await bench.reconcile('cluster-health', slow)).toEqual([]);
    expect((await bench.nodes(cluster.id)).find((node) => node.machine_id === machineId)).toMatchObject({ health: 'NOT_READY', health_reason: 'NODE_NOT_READY' });
    const healed = await heal(cluster);
    expect(healed).toHaveLength(1);
    expect((await bench.nodes(cluster.id)).map(nodeState)).toEqual(['READY', 'READY', 'READY']);
    expect((await bench.nodes(cluster.id)).map((node) => node.machine_id)).not.toContain(machineId);
  }, 60_000);

  it('give the lost machine back its charge when healing is called off before it was deleted', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'undecided', { controlPlane: { count: 1, flavor: 'small' } });
    const [worker] = await nodesOf(cluster, 'WORKER');
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'runInGuest', times: 100_000, keyContains: '-forget-' });
    const { result } = await bench.clusters.replaceNode(access, String(worker?.id));
    expect(await vms(cluster)).toBe(3);
    await bench.center.operations.cancel(String(result.operationId));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    expect(await vms(cluster)).toBe(3);
    expect((await bench.nodes(cluster.id)).map((node) => [node.machine_id, nodeState(node)])).toContainEqual([worker?.machine_id, 'READY']);
    expect(await bench.nodes(cluster.id)).toHaveLength(3);
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  }, 60_000);

  it('have a lost control node forgotten by whichever other one answers, also after all were silent for a while', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'taciturn');
    const [lost, first, second] = (await nodesOf(cluster, 'CONTROL')).map((node) => node.machine_id);
    const silent = { kind: FaultKind.UNAVAILABLE, method: 'runInGuest', keyContains: `forget-${lost}` };
    await bench.center.world.addFault({ ...silent, resourceId: String(first), times: 2 });
    await bench.center.world.addFault({ ...silent, resourceId: String(second), times: 100_000 });
    const [node] = await nodesOf(cluster, 'CONTROL');
    const { result } = await bench.clusters.replaceNode(access, String(node?.id));
    expect(await bench.center.ended(result.operationId, 20_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await bench.center.world.faults()).map((fault) => fault.fired)).toEqual([2, 2]);
  }, 60_000);

  /** A replacement that is called off when it has joined, and one of the other two is silent by then. */
  async function needed(name: string) {
    const cluster = await bench.made(bench.emptyProject(), name, { nodePools: [] });
    const before = await nodesOf(cluster, 'CONTROL');
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'runInGuest', times: 100_000, keyContains: '-ready-' });
    const { result } = await bench.clusters.replaceNode(access, String(before[1]?.id));
    const newcomer = async () => (await nodesOf(cluster, 'CONTROL')).find((node) => !before.some((old) => old.id === node.id));
    while ((await newcomer())?.phase !== 'JOINED') await pause(20);
    const { machine_id: machineId = '', id: newcomerId } = (await newcomer()) ?? {};
    const host = await hostOf(before[0] as ClusterNodeRow);
    await setHost(host, SimulatedHostState.PARTITIONED);
    await bench.center.operations.cancel(String(result.operationId));
    const blocked = async () => (await blockers(bench.room.database, cluster.id, { showHosts: true })).find((cause) => cause.operationId === result.operationId);
    while ((await blocked())?.code !== 'INVALID_STATE') await pause(20);
    expect(await blocked()).toMatchObject({ message: expect.stringContaining('1 of the others are ready, and 2 must agree without it'), fault: 'OPERATOR' });
    expect((await bench.center.world.machine(machineId))?.power).toBe('RUNNING');
    return { cluster, before, result, machineId, newcomerId, host };
  }

  it('do not take back a new control node that the others could not agree without, also when that takes an operator', async () => {
    const { cluster, before, result, machineId, newcomerId, host } = await needed('needy');
    const members = async () => (await bench.room.database.rows(findMembers, [String(cluster.load_balancer_id)])).map((member) => member.owner_id).sort();
    // Nobody brings it back for a while.
    await setHost(host, SimulatedHostState.DEAD);
    const later = `UPDATE operation_step SET since = since - interval '1 hour' WHERE operation_id = $1`;
    await bench.room.database.dataSource.query(later, [result.operationId]);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'STUCK' });
    expect((await bench.center.world.machine(machineId))?.power).toBe('RUNNING');
    await bench.center.operations.abandon(String(result.operationId), 'It is needed.');
    while ((await bench.center.operation(result.operationId)).state !== 'FAILED') await pause(20);
    // It stays, and the lost one is replaced beside it.
    await bench.center.world.clearFaults();
    await bench.room.database.dataSource.query('UPDATE cluster_observation SET heal_not_before = NULL WHERE cluster_id = $1', [cluster.id]);
    expect(await heal(cluster)).toEqual(['SUCCEEDED']);
    const after = await nodesOf(cluster, 'CONTROL');
    expect(after.map(nodeState)).toEqual(['READY', 'READY', 'READY']);
    expect(after.map((node) => node.id)).toEqual(expect.arrayContaining([newcomerId, before[2]?.id]));
    expect(await members()).toEqual(after.map((node) => node.machine_id).sort());
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  }, 60_000);

  it('are deleted whoever could not agree', async () => {
    const { cluster, host, result: healing } = await needed('unneeded');
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(healing.operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    await setHost(host, SimulatedHostState.ALIVE);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  }, 60_000);

  it('take back the vote of a new control node that is not to stay, however long no manager can be asked', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'unwelcome');
    const before = await nodesOf(cluster, 'CONTROL');
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'runInGuest', times: 100_000, keyContains: '-ready-' });
    const { result } = await bench.clusters.replaceNode(access, String(before[1]?.id));
    const newcomer = async () => (await nodesOf(cluster, 'CONTROL')).find((node) => !before.some((old) => old.id === node.id));
    while ((await newcomer())?.phase !== 'JOINED') await pause(20);
    const { machine_id: machineId = '', name = '' } = (await newcomer()) ?? {};
    await bench.center.world.addFault({ kind: FaultKind.UNAVAILABLE, method: 'runInGuest', times: 100_000, keyContains: `forget-${machineId}` });
    await bench.center.operations.cancel(String(result.operationId));
    while (((await bench.center.world.faults()).at(-1)?.fired ?? 0) < 6) await pause(20);
    // What it may still do to join does not come after it was forgotten.
    const { compute } = await bench.center.drivers.driver(bench.center.backendId);
    const call = { idempotencyKey: 'a look', timeoutMs: 5000, signal: AbortSignal.timeout(5000) };
    expect(await compute.getMachine(call, machineId)).toMatchObject({ power: 'STOPPED' });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    const left = await nodesOf(cluster, 'CONTROL');
    expect(left.map((node) => node.id)).toEqual([before[0]?.id, before[2]?.id]);
    const asked = (await Promise.all(left.map((node) => bench.center.world.guestRuns(node.machine_id)))).flat().map((run) => run.script);
    expect(asked.filter((script) => script.includes('etcdctl member remove') && script.includes(name))).toHaveLength(1);
  }, 60_000);
});
