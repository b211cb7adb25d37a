import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, nodeState, type ClusterNodeRow, type ClusterRow, type CreateClusterInput } from '#clusters';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { OperationEngine, silentBell } from '#operations';
import { clustersBench, findCanary, systemAccess, type ClustersBench } from '#testing';

const secretsOf = statement<{ purpose: string }, [ownerId: string]>(
  'spec.swarm_secrets',
  'SELECT purpose FROM secret WHERE owner_id = $1 ORDER BY purpose',
);

const setHealth = statement<{ id: string }, [hostId: string, health: string, fence: string]>(
  'spec.swarm_host',
  'UPDATE host SET health = $2, fence = $3 WHERE id = $1 RETURNING id',
);

const VERBS: readonly [word: string, pattern: RegExp][] = [
  ['init', /swarm init/],
  ['join', /swarm join --token/],
  ['fetch', /join-token --quiet/],
  ['rotate', /join-token --rotate/],
  ['ready', /LocalNodeState}}'\)" = active\n/],
  ['drain', /availability drain/],
  ['forget', /retry 60 remove_node/],
];

describe('Swarm clusters on a simulated datacenter', () => {
  let bench: ClustersBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
  });
  afterEach(async () => {
    await bench.center.world.clearFaults();
    await bench.center.world.onGuestRun({ pattern: 'swarm join --token|join-token --rotate', exitCode: 0 });
  });
  afterAll(() => bench.close());

  const swarm = { kind: 'SWARM', version: 'swarm' } as const;
  const made = async (name: string, more: Partial<CreateClusterInput> = {}): Promise<ClusterRow> => bench.made(bench.emptyProject(), name, { ...swarm, ...more });
  const runs = async (node: ClusterNodeRow | undefined) => bench.center.world.guestRuns(String(node?.machine_id));
  const verbs = async (node: ClusterNodeRow | undefined): Promise<string[]> =>
    (await runs(node)).map((run) => VERBS.find(([, pattern]) => pattern.test(run.script))?.[0] ?? run.script);
  const secrets = async ({ id }: ClusterRow): Promise<string[]> => (await bench.room.database.rows(secretsOf, id)).map((row) => row.purpose);
  const workers = async ({ id }: ClusterRow) => (await bench.nodes(id)).filter((node) => node.role === 'WORKER');
  async function scaled(cluster: ClusterRow, count: number, state = 'SUCCEEDED') {
    const [pool] = await bench.poolsOf(cluster.id);
    const { result } = await bench.pools.scale(access, { id: String(pool?.id), count });
    const ended = await bench.center.ended(result.operationId, 30_000);
    expect(ended).toMatchObject({ state });
    return ended;
  }

  it('are made: nodes join by tokens that the first manager tells, and which are worthless afterwards', async () => {
    const cluster = await made('blue');
    expect(clusterState(cluster)).toBe('READY');
    const nodes = await bench.nodes(cluster.id);
    expect(nodes.map((node) => [node.role, nodeState(node)])).toEqual([
      ...Array.from({ length: 3 }, () => ['CONTROL', 'READY']),
      ...Array.from({ length: 2 }, () => ['WORKER', 'READY']),
    ]);
    const [first, ...others] = nodes;
    const asked = (await Promise.all(nodes.slice(0, 3).map(verbs))).flat();
    expect(await verbs(first)).toContain('init');
    expect(asked.filter((verb) => verb === 'fetch')).toHaveLength(1);
    expect(asked.filter((verb) => verb === 'rotate')).toHaveLength(1);
    for (const node of others) expect((await verbs(node)).filter((verb) => verb === 'join' || verb === 'ready')).toEqual(['join', 'ready']);
    // The tokens went with the operation.
    expect(cluster.join_secret).toBeNull();
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);

    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  });

  it('have nodes join at the same time, managers too: one that is late keeps nobody waiting', async () => {
    const { result } = await bench.clusters.create(access, bench.request(bench.emptyProject(), 'hasty', swarm));
    const [, late] = await bench.nodes(result.id);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'runInGuest', keyContains: `-join-${late?.machine_id}`, times: 100_000 });
    const joining = async (): Promise<string[]> => (await bench.nodes(result.id)).filter((node) => node.phase === 'JOINING').map((node) => node.id);
    for (const end = Date.now() + 15_000; (await joining()).length > 1; await pause(20)) expect(Date.now()).toBeLessThan(end);
    expect(await joining()).toEqual([late?.id]);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);

  it('grow, shrink by drained nodes, and have a lost manager replaced, each with tokens of its own', async () => {
    const cluster = await made('sized');
    const [first, second] = await bench.nodes(cluster.id);
    const count = async (verb: string): Promise<number> => {
      const controls = (await bench.nodes(cluster.id)).filter((node) => node.role === 'CONTROL');
      return (await Promise.all(controls.map(verbs))).flat().filter((each) => each === verb).length;
    };
    await scaled(cluster, 3);
    expect((await workers(cluster)).map(nodeState)).toEqual(['READY', 'READY', 'READY']);
    expect([await count('fetch'), await count('rotate')]).toEqual([2, 2]);
    await scaled(cluster, 2);
    expect([await count('drain'), await count('forget'), await count('rotate')]).toEqual([1, 1, 2]);

    const { result } = await bench.clusters.replaceNode(access, String(second?.id));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    const nodes = await bench.nodes(cluster.id);
    expect(nodes.map(nodeState)).toEqual(Array.from({ length: 5 }, () => 'READY'));
    expect(nodes.map((node) => node.id)).not.toContain(second?.id);
    const helpers = nodes.filter((node) => node.role === 'CONTROL');
    expect(helpers).toHaveLength(3);
    expect(helpers.map((node) => node.id)).toContain(first?.id);
    expect([await count('fetch'), await count('rotate')].every((times) => times >= 1)).toBe(true);
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);
  });

  it('keep what a manager tells sealed: it is in no row of Muon, and no error repeats it', async () => {
    const cluster = await made('canary', { controlPlane: { count: 1, flavor: 'small' } });
    const canary = 'SWMTKN-1-canary7q3m9x2v8k4t6w1z5y0p-of-a-token';
    await bench.center.world.onGuestRun({ pattern: 'join-token --quiet', standardOutput: `manager=${canary}-m\nworker=${canary}-w\n` });
    await bench.center.world.onGuestRun({ pattern: 'swarm join --token', exitCode: 1, standardError: `The token ${canary}-w is not valid.` });
    const { id, error } = await scaled(cluster, 3, 'FAILED');
    expect(error).toMatchObject({ code: 'BACKEND_FAILED', data: { exitCode: 1, output: 'The token [redacted] is not valid.' } });
    expect(await findCanary(canary, { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
    const output = await bench.room.database.dataSource.query(`SELECT memo, output FROM operation_step WHERE operation_id = $1`, [id]).catch(() => []);
    expect(JSON.stringify(output)).not.toContain(canary);
    // While they are wanted they are there, sealed.
    await bench.center.world.onGuestRun({ pattern: 'swarm join --token', exitCode: 0 });
    await scaled(cluster, 3);
    expect(await findCanary(canary, { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
    await bench.center.world.onGuestRun({ pattern: 'join-token --quiet', standardOutput: 'manager={{runId}}\nworker={{runId}}\n' });
  });

  it('make the tokens worthless also when nodes could not join, and are as they were', async () => {
    const cluster = await made('stunted', { controlPlane: { count: 1, flavor: 'small' } });
    const before = await workers(cluster);
    const [control] = await bench.nodes(cluster.id);
    const rotations = async (): Promise<number> => (await verbs(control)).filter((verb) => verb === 'rotate').length;
    expect(await rotations()).toBe(1);
    await bench.center.world.onGuestRun({ pattern: 'swarm join --token', exitCode: 1 });
    await scaled(cluster, 3, 'FAILED');
    expect(await rotations()).toBe(2);
    expect((await verbs(control)).filter((verb) => verb === 'forget')).toHaveLength(1);
    expect((await workers(cluster)).map((node) => [node.id, nodeState(node)])).toEqual(before.map((node) => [node.id, 'READY']));
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);
  });

  it('run what managers do once, also when the answer of the one that was asked is lost', async () => {
    const cluster = await made('mute');
    const asked = async (verb: string): Promise<number> => {
      const controls = (await bench.nodes(cluster.id)).filter((node) => node.role === 'CONTROL');
      return (await Promise.all(controls.map(verbs))).flat().filter((each) => each === verb).length;
    };
    const before = [await asked('rotate'), await asked('drain')];
    for (const keyContains of ['-close-', '-drain-']) await bench.center.world.addFault({ kind: FaultKind.LOST_ANSWER, method: 'runInGuest', keyContains });
    await scaled(cluster, 3);
    await scaled(cluster, 2);
    expect((await bench.center.world.faults()).map((fault) => fault.fired)).toEqual([1, 1]);
    expect([await asked('rotate'), await asked('drain')]).toEqual(before.map((times) => times + 1));
  });

  it('have another manager do what the one that was asked cannot do any more', async () => {
    const cluster = await made('orphaned');
    const [control] = await bench.nodes(cluster.id);
    const { host_id: hostId } = await bench.machine(control?.machine_id);
    const [pool] = await bench.poolsOf(cluster.id);
    await bench.center.world.addFault({ kind: FaultKind.HANG, method: 'runInGuest', keyContains: '-close-', resourceId: String(control?.machine_id), times: 1000 });
    const { result } = await bench.pools.scale(access, { id: String(pool?.id), count: 3 });
    // It does not answer, and may do it or not: it is asked again, and nobody else is.
    while (((await bench.center.world.faults())[0]?.fired ?? 0) < 3) await pause(20);
    expect(await bench.center.operation(result.operationId)).toMatchObject({ state: 'WAITING' });
    await bench.room.database.rows(setHealth, hostId, 'DOWN', 'PROVEN_OFF');
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    await bench.room.database.rows(setHealth, hostId, 'UP', 'NONE');
    expect((await workers(cluster)).map(nodeState)).toEqual(['READY', 'READY', 'READY']);
  }, 60_000);

  it('fail when the tokens cannot be made worthless, which keeps nobody from undoing', async () => {
    const cluster = await made('stubborn', { controlPlane: { count: 1, flavor: 'small' } });
    await bench.center.world.onGuestRun({ pattern: 'join-token --rotate', exitCode: 1, standardError: 'no leader' });
    const { error, not_restored: left } = await scaled(cluster, 3, 'FAILED');
    expect(error).toMatchObject({ code: 'BACKEND_FAILED', data: { output: 'no leader' } });
    expect(left).toEqual([{ step: 'invite', resourceId: cluster.id, message: expect.stringContaining('still hold') }]);
    expect(error?.message).toContain('let no more nodes join');
    // Its undo has tried for itself, as often: the nodes that were to join have had the tokens.
    const [control] = await bench.nodes(cluster.id);
    const rotations = (await runs(control)).filter((run) => run.script.includes('join-token --rotate'));
    expect(rotations.map((run) => run.exitCode)).toEqual([0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect((await workers(cluster)).map(nodeState)).toEqual(['READY', 'READY']);
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);
  });

  it('fail when a manager does not tell its tokens, and say which', async () => {
    await bench.center.world.onGuestRun({ pattern: 'join-token --quiet', standardOutput: 'worker=one\n' });
    const projectId = bench.emptyProject();
    const { result } = await bench.clusters.create(access, bench.request(projectId, 'silent', { ...swarm, controlPlane: { count: 1, flavor: 'small' } }));
    const ended = await bench.center.ended(result.operationId, 30_000);
    expect(ended).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED', data: { output: 'It did not tell: manager.' } } });
    await bench.center.world.onGuestRun({ pattern: 'join-token --quiet', standardOutput: 'manager={{runId}}\nworker={{runId}}\n' });
    expect(await bench.leftOf(projectId)).toEqual(['cluster', 'pool']);
  });

  it('can be made where nodes of Kubernetes cannot, which a plan says already', async () => {
    const declare = async (can: boolean): Promise<unknown> =>
      bench.room.database.dataSource.query(`UPDATE backend SET capabilities = capabilities || jsonb_build_object('kubernetesNodes', $2::boolean) WHERE id = $1`, [
        bench.center.backendId,
        can,
      ]);
    await declare(false);
    const projectId = bench.emptyProject();
    const asked = bench.clusters.create(access, bench.request(projectId, 'pods'), { dryRun: true });
    await expect(asked).rejects.toMatchObject({ code: 'UNSUPPORTED', field: 'input.controlPlane.zones', data: { capability: 'kubernetesNodes' } });
    const { plan } = await bench.clusters.create(access, bench.request(projectId, 'tasks', swarm), { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
    await declare(true);
  });
});

describe('Swarm clusters whose worker is stopped', () => {
  let bench: ClustersBench;
  beforeAll(async () => {
    bench = await clustersBench({ hosts: 3 });
  });
  afterAll(() => bench.close());

  it('have their tokens made worthless by the next one', async () => {
    const { center, room } = bench;
    const cluster = await bench.made(bench.emptyProject(), 'handed-over', { kind: 'SWARM', version: 'swarm', controlPlane: { count: 1, flavor: 'small' } });
    const [control] = await bench.nodes(cluster.id);
    const rotations = async (): Promise<number> =>
      (await center.world.guestRuns(String(control?.machine_id))).filter((run) => run.script.includes('join-token --rotate')).length;
    const before = await rotations();
    await center.world.onGuestRun({ pattern: 'swarm join --token', exitCode: 1 });
    await center.world.addFault({ kind: FaultKind.HANG, method: 'runInGuest', keyContains: 'undo-close', times: 1000 });
    const [pool] = await bench.poolsOf(cluster.id);
    const { result } = await bench.pools.scale(systemAccess(), { id: String(pool?.id), count: 3 });
    for (const end = Date.now() + 15_000; ((await center.world.faults())[0]?.fired ?? 0) === 0; await pause(10)) expect(Date.now()).toBeLessThan(end);
    await center.engine.drain(0);
    await center.world.clearFaults();
    expect(await center.operation(result.operationId)).toMatchObject({ state: 'UNDOING' });
    const { database, applier, log } = room;
    const next = new OperationEngine({ database, registry: center.registry, applier, bell: silentBell, log, sweepEveryMs: 20, retry: { baseMs: 20, maxMs: 200 }, callTimeoutMs: 1000 });
    next.start();
    expect(await center.ended(result.operationId, 30_000)).toMatchObject({ state: 'FAILED', not_restored: [] });
    expect(await rotations()).toBe(before + 1);
    await next.drain(2000);
  }, 60_000);
});
