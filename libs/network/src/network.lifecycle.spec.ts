import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MuonError } from '#core';
import { ChangeSet, statement } from '#database';
import { OPERATIONS } from '#operations';
import { networkBench, systemAccess, type NetworkBench } from '#testing';
import {
  findNetworks,
  findPorts,
  findSubnets,
  networkDrift,
  networkScopeContents,
  planPortRemoval,
  type PlannedPort,
} from './index.js';

const tombstones = statement<{ object_kind: string; reason: string }, [id: string]>(
  'spec.network_tombstones',
  'SELECT object_kind, reason FROM tombstone WHERE object_id = $1',
);
const leftovers = statement<{ what: string }, [projectId: string]>(
  'spec.network_leftovers',
  `SELECT 'allocation' AS what FROM address_allocation WHERE project_id = $1 AND owner_id <> subnet_id
   UNION ALL SELECT 'port' FROM port WHERE project_id = $1
   UNION ALL SELECT 'charge' FROM quota_charge WHERE project_id = $1 UNION ALL SELECT 'lock' FROM resource_lock`,
);

describe('networks on a simulated datacenter', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let networks: NetworkBench['networks'];
  let subnets: NetworkBench['subnets'];
  let balancers: NetworkBench['balancers'];
  const access = systemAccess();

  beforeAll(async () => {
    bench = await networkBench();
    ({ room, center, networks, subnets, balancers } = bench);
  });
  afterEach(() => center.world.clearFaults());
  afterAll(() => bench.close());

  const fired = async (): Promise<number[]> => (await center.world.faults()).map((fault) => fault.fired);
  const network = async (id: unknown) => (await room.database.rows(findNetworks, [String(id)]))[0];

  async function makeNetwork(projectId: string, realised = false): Promise<{ id: string; operationId: string | null; subnetId: string }> {
    const { result } = await networks.create(access, { projectId, name: bench.unique('net'), subnet: {}, zones: realised ? [center.zoneId] : [] });
    return result as { id: string; operationId: string | null; subnetId: string };
  }

  async function removeMachine(ports: readonly PlannedPort[]): Promise<void> {
    const portIds = ports.map((port) => port.portId);
    const driver = await center.drivers.driver(center.backendId);
    for (const id of portIds) await driver.network.removePort(bench.call('gone'), id);
    await center.operations.submit(planPortRemoval(portIds));
  }

  it('makes a network on its backends and takes it away, leaving nothing', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId, true);
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect((await room.database.rows(findSubnets, [made.subnetId]))[0]).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await bench.objects()).toContain(made.id);
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1 });
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toBeUndefined();
    expect(await bench.objects()).not.toContain(made.id);
    expect(await bench.usage(projectId)).toEqual({});
    expect(await room.database.rows(leftovers, projectId)).toEqual([]);
    expect(await room.database.rows(tombstones, made.id)).toEqual([{ object_kind: 'network', reason: 'deleted' }]);
  });

  it('is there at once when no backend was named, and is realised where its first port lands', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId);
    expect(made.operationId).toBeNull();
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await bench.objects()).not.toContain(made.id);
    const machine = await bench.startMachine(projectId, made.id, { amount: 3 });
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    const seen = await bench.objects();
    expect(seen).toEqual(expect.arrayContaining([made.id, ...machine.ports.map((port) => port.portId)]));
    const rows = await room.database.rows(findPorts, machine.ports.map((port) => port.portId));
    expect(rows.map((row) => row.realised_revision)).toEqual([1, 1, 1]);
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 3 });
  });

  it('tells backends by which names things are found, and from where members are checked', async () => {
    const projectId = bench.freshProject();
    const { result: made } = await networks.create(access, { projectId, name: 'demo', subnet: { cidr: '10.201.0.0/24' } });
    const machine = await bench.startMachine(projectId, String(made.id));
    await center.ended(machine.operationId);
    const front = await balancers.create(access, { networkId: String(made.id), name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    await center.ended(front.result.operationId);
    const parts = new Map((await center.world.networkParts(bench.tenant.id)).map((part) => [part.id, part.specification]));
    expect(parts.get(String(made.id))).toMatchObject({ domain: 'demo.internal', subnets: [{ cidr: '10.201.0.0/24', healthCheckAddress: '10.201.0.254' }] });
    expect(parts.get(machine.ports[0]?.portId ?? '')).toMatchObject({ name: 'machine-0' });
    expect(parts.get(String(front.result.id))).toMatchObject({ name: 'front' });
  });

  it('plans without writing: the dry run shows block, quota and what is in the way', async () => {
    const projectId = bench.freshProject();
    const { plan } = await networks.create(access, { projectId, name: 'planned', subnet: { cidr: '10.200.0.0/28' } }, { dryRun: true });
    expect(await bench.usage(projectId)).toEqual({});
    expect(plan?.changes.resources).toEqual([
      expect.objectContaining({ action: 'CREATE', kind: 'network', name: 'planned' }),
      expect.objectContaining({ kind: 'subnet', data: { cidr: '10.200.0.0/28', gateway: '10.200.0.1', addresses: 12, healthCheckAddress: '10.200.0.14' } }),
    ]);
    expect(plan?.changes.reasons.map((reason) => reason.message).join()).toContain('network.count');
    const applied = await center.commands.applyPlan(access, plan?.id ?? '');
    expect(await network(applied.result.id)).toMatchObject({ name: 'planned' });
    const twin = await networks.create(access, { projectId, name: 'planned' }, { dryRun: true });
    expect(twin.plan?.changes.problems).toEqual([expect.objectContaining({ code: 'ALREADY_EXISTS', field: 'input.name' })]);
    await expect(networks.create(access, { projectId, name: 'planned' })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  it('ends FAILED with the true reason, holds nothing but its name, and can be tried again', async () => {
    const projectId = bench.freshProject();
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'ensureNetwork', delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureNetwork', nth: 1 });
    const made = await makeNetwork(projectId, true);
    const failed = await center.ended(made.operationId);
    expect(failed).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED', fault: 'OPERATOR' } });
    expect(await network(made.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await bench.usage(projectId)).toEqual({});
    expect(await fired()).toEqual([1, 1]);
    await center.world.landPending();
    expect(await bench.objects()).not.toContain(made.id);
    await expect(bench.startMachine(projectId, made.id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    expect(await room.database.rows(tombstones, made.id)).toEqual([{ object_kind: 'network', reason: 'undone' }]);
    await center.operations.retry(String(made.operationId));
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1 });
    expect((await bench.startMachine(projectId, made.id)).ports).toHaveLength(1);
    expect(await room.database.rows(tombstones, made.id)).toEqual([]);
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('goes on after %s of every first call', async (kind) => {
    const projectId = bench.freshProject();
    for (const method of ['ensureNetwork', 'ensurePort', 'realised', 'removeNetwork']) await center.world.addFault({ kind, method, delayMs: 50 });
    const made = await makeNetwork(projectId, true);
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    const machine = await bench.startMachine(projectId, made.id, { amount: 2 });
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    await removeMachine(machine.ports);
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await bench.objects()).not.toContain(made.id);
  });

  it('takes back ports whose making failed, also those that a lost call brings late', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId);
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'ensurePort', nth: 2, delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensurePort', nth: 3, times: 3 });
    const machine = await bench.startMachine(projectId, made.id, { amount: 4 });
    expect((await center.ended(machine.operationId)).state).toBe('FAILED');
    expect((await fired())[0]).toBe(1);
    await center.world.landPending();
    const seen = await bench.objects();
    expect(machine.ports.filter((port) => seen.includes(port.portId))).toEqual([]);
    expect((await room.database.rows(leftovers, projectId)).map((row) => row.what)).toEqual(['charge']);
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1 });
  });

  it('tells a backend again that has lost the network', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId, true);
    await center.ended(made.operationId);
    const driver = await center.drivers.driver(center.backendId);
    await driver.network.removeNetwork(bench.call('gone'), made.id);
    const machine = await bench.startMachine(projectId, made.id);
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    expect(await bench.objects()).toContain(made.id);
  });

  it('adds and removes subnets of a realised network; a failed one leaves the network as it was', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId, true);
    await center.ended(made.operationId);
    const { result } = await subnets.create(access, { networkId: made.id, name: 'second', cidr: '10.210.0.0/24' });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toMatchObject({ desired_revision: 2 });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureNetwork' });
    const failing = await subnets.create(access, { networkId: made.id, name: 'third' });
    expect((await center.ended(failing.result.operationId)).state).toBe('FAILED');
    expect((await room.database.rows(findSubnets, [String(failing.result.id)]))[0]).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    await center.operations.retry(String(failing.result.operationId));
    expect((await center.ended(failing.result.operationId)).state).toBe('SUCCEEDED');
    expect((await room.database.rows(findSubnets, [String(failing.result.id)]))[0]).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    const machine = await bench.startMachine(projectId, made.id);
    await center.ended(machine.operationId);
    const inUse = machine.ports[0]?.subnetId ?? '';
    const refusal = await subnets.delete(access, inUse).catch((error: unknown) => error as MuonError);
    expect(refusal).toMatchObject({ code: 'INVALID_STATE', data: { users: [{ kind: 'PORT', name: 'machine-0' }] } });
    for (const id of [String(result.id), String(failing.result.id)]) {
      const gone = await subnets.delete(access, id);
      expect((await center.ended(gone.result.operationId)).state).toBe('SUCCEEDED');
    }
    expect(await room.database.rows(findSubnets, [String(result.id), String(failing.result.id)])).toEqual([]);
  });

  it('refuses to delete a network in use with the list of users, or goes with the last one when asked to wait', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, made.id);
    await center.ended(machine.operationId);
    await expect(networks.delete(access, { id: made.id })).rejects.toMatchObject({
      code: 'INVALID_STATE',
      data: { users: [{ id: machine.ports[0]?.portId, kind: 'PORT', name: 'machine-0' }] },
    });
    const first = await networks.delete(access, { id: made.id, whenInUse: 'WAIT' });
    await expect.poll(async () => (await center.operation(first.result.operationId)).blocker).toMatchObject({
      code: 'INVALID_STATE', message: expect.stringContaining('1 ports and 0 load balancers'),
    });
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PENDING_DELETE' });
    await expect(bench.startMachine(projectId, made.id)).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.networkId' });
    await center.operations.cancel(String(first.result.operationId));
    expect((await center.ended(first.result.operationId)).state).toBe('CANCELLED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT' });
    const second = await networks.delete(access, { id: made.id, whenInUse: 'WAIT' });
    await removeMachine(machine.ports);
    expect((await center.ended(second.result.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toBeUndefined();
    expect(await bench.usage(projectId)).toEqual({});
  });

  it('deletes a network whose making is still under way', async () => {
    const projectId = bench.freshProject();
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureNetwork', times: Infinity });
    const made = await makeNetwork(projectId, true);
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect((await center.operation(made.operationId)).state).toBe('CANCELLED');
    expect(await network(made.id)).toBeUndefined();
    expect(await bench.usage(projectId)).toEqual({});
  });

  it('goes with its project: load balancers, then networks, and nothing is left', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, made.id);
    await center.ended(machine.operationId);
    await center.ended((await balancers.create(access, { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] })).result.operationId);
    await makeNetwork(projectId, true);
    const scope = { tenantId: bench.tenant.id, projectId };
    const counts = async () => Object.fromEntries(await Promise.all(networkScopeContents.map(async (each) => [each.kind, await each.count(room.database, scope)])));
    expect(await counts()).toMatchObject({ 'floating ip': 0, router: 0, 'load balancer': 1, network: 2, port: 1, subnet: 2, address: 2 });
    await removeMachine(machine.ports);
    for (const contents of networkScopeContents.filter((each) => each.planDeletion !== undefined)) {
      await center.operations.submit((await contents.planDeletion?.(room.database, scope, 10)) ?? new ChangeSet());
      expect((await contents.planDeletion?.(room.database, scope, 10))?.items(OPERATIONS)).toEqual([]);
      await expect.poll(() => contents.count(room.database, scope), { timeout: 10_000 }).toBe(0);
    }
    expect(await counts()).toMatchObject({ 'floating ip': 0, router: 0, 'load balancer': 0, network: 0, port: 0, subnet: 0, address: 0 });
    expect(await bench.usage(projectId)).toEqual({});
  });

  it('repairs by an operation what a backend has lost, and leaves alone what is as it should be', async () => {
    const projectId = bench.freshProject();
    const made = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, made.id, { amount: 2 });
    await center.ended(machine.operationId);
    const front = await balancers.create(access, { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    await center.ended(front.result.operationId);
    const drift = networkDrift(center.drivers, { graceMs: 0 });
    const repaired = async (): Promise<void> => {
      const started = await bench.look(drift);
      expect(started).toHaveLength(1);
      expect(await center.ended(started[0])).toMatchObject({ state: 'SUCCEEDED', kind: 'network.network.repair' });
    };
    expect(await bench.look(drift)).toEqual([]);
    const { network: driver } = await center.drivers.driver(center.backendId);
    const [one] = machine.ports.map((port) => port.portId);
    await driver.removePort(bench.call('lost'), one ?? '');
    await driver.removeLoadBalancer(bench.call('lost'), String(front.result.id));
    await repaired();
    expect(await bench.objects()).toEqual(expect.arrayContaining([one, String(front.result.id)]));
    expect(await bench.look(drift)).toEqual([]);
    // Of what is still there with its revision, and yet no longer as it was told.
    for (const id of [made.id, one ?? '', String(front.result.id)]) {
      await center.world.damagePart(id);
      await repaired();
    }
    expect(await bench.look(drift)).toEqual([]);
  });
});
