import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { MuonError } from '#core';
import { ChangeSet, insertRows, statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { defineOperation, operationId, OPERATIONS, operationsRoom, type OperationKind, type ReconcilerContext } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { tenancyRoom } from '#tenancy';
import { newTenant, roomDatabase, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import {
  findNetworks,
  findLoadBalancers,
  findMembers,
  findPorts,
  findSubnets,
  LoadBalancerService,
  networkDrift,
  networkOperations,
  NetworkRealiser,
  networkRoom,
  networkScopeContents,
  NetworkService,
  planPortRemoval,
  planPorts,
  registerNetworkSections,
  SubnetService,
  type PlannedPort,
} from './index.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.network_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);
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

/** A machine of nothing but ports, as compute will make them. */
function portKind(realiser: NetworkRealiser): OperationKind<unknown> {
  const input = z.strictObject({ portIds: z.array(z.string()) });
  return defineOperation<z.output<typeof input>>({
    kind: 'spec.machine.create',
    version: 1,
    input,
    deadlineMs: 60_000,
    steps: [
      {
        name: 'ports',
        run: (context) => realiser.ensurePorts(context, context.operation.input.portIds),
        undo: (context) => realiser.removePorts(context, context.operation.input.portIds, { settle: true }),
      },
    ],
    onFailed: (_transaction, { operation, apply }) => apply(planPortRemoval(operation.input.portIds)),
  }) as OperationKind<unknown>;
}

describe('networks on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let tenant: TestTenant;
  let realiser: NetworkRealiser;
  let networks: NetworkService;
  let subnets: SubnetService;
  let balancers: LoadBalancerService;
  const access = systemAccess();
  let names = 0;

  beforeAll(async () => {
    room = await roomDatabase([
      secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom, networkRoom,
    ]);
    center = await testDatacenter(room, {
      sections: registerNetworkSections,
      kinds: (drivers) => {
        realiser = new NetworkRealiser(drivers, { settleMs: 150 });
        return [...networkOperations(realiser), portKind(realiser)];
      },
    });
    networks = new NetworkService(center.commands, center.ledger);
    subnets = new SubnetService(center.commands, networks);
    balancers = new LoadBalancerService(center.commands, center.ledger, networks);
    tenant = await newTenant(room.database, 30);
    const row = { id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true };
    await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [row]));
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  let projects = 0;
  const freshProject = (): string => {
    projects += 1;
    return tenant.projectIds[projects - 1] ?? '';
  };
  const fired = async (): Promise<number[]> => (await center.world.faults()).map((fault) => fault.fired);
  const usage = async (projectId: string): Promise<Record<string, number>> =>
    Object.fromEntries((await room.database.rows(used, projectId)).map((row) => [row.resource_key, row.used_amount]));
  const network = async (id: unknown) => (await room.database.rows(findNetworks, [String(id)]))[0];
  const objects = async (): Promise<string[]> => (await center.world.objects()).map((object) => object.id);

  async function makeNetwork(projectId: string, realised = false): Promise<{ id: string; operationId: string | null; subnetId: string }> {
    names += 1;
    const input = { projectId, name: `net-${names}`, subnet: {} };
    const { result } = await networks.create(access, { ...input, zones: realised ? [center.zoneId] : [] });
    return result as { id: string; operationId: string | null; subnetId: string };
  }

  async function makeMachine(projectId: string, networkId: string, amount = 1): Promise<{ ports: PlannedPort[]; operationId: string }> {
    let ports: PlannedPort[] = [];
    const operation = operationId.create();
    await center.commands.run({ access, name: 'createMachine', input: {}, place: { tenantId: tenant.id, projectId } }, async (reader) => {
      const requests = Array.from({ length: amount }, (_, index) => ({
        name: `machine-${index}`,
        networkId,
        ownerId: `vm_${operation}_${index}`,
        tenantId: tenant.id,
        projectId,
        hostId: center.hostIds[index % center.hostIds.length] ?? '',
        backendId: center.backendId,
        zoneId: null,
      }));
      const planned = await planPorts(reader, access, requests);
      ports = planned.ports;
      const portIds = ports.map((port) => port.portId);
      const place = { tenantId: tenant.id, projectId };
      return planned.changes.add(OPERATIONS, {
        id: operation, kind: 'spec.machine.create', resourceKind: 'vm', resourceId: `vm_${operation}`, ...place, input: { portIds },
      });
    });
    return { ports, operationId: operation };
  }

  async function removeMachine(ports: readonly PlannedPort[]): Promise<void> {
    const portIds = ports.map((port) => port.portId);
    const driver = await center.drivers.driver(center.backendId);
    for (const id of portIds) await driver.network.removePort({ idempotencyKey: id, timeoutMs: 1000, signal: new AbortController().signal }, id);
    await center.operations.submit(planPortRemoval(portIds));
  }

  it('makes a network on its backends and takes it away, leaving nothing', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId, true);
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect((await room.database.rows(findSubnets, [made.subnetId]))[0]).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await objects()).toContain(made.id);
    expect(await usage(projectId)).toEqual({ 'network.count': 1 });
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toBeUndefined();
    expect(await objects()).not.toContain(made.id);
    expect(await usage(projectId)).toEqual({});
    expect(await room.database.rows(leftovers, projectId)).toEqual([]);
    expect(await room.database.rows(tombstones, made.id)).toEqual([{ object_kind: 'network', reason: 'deleted' }]);
  });

  it('is there at once when no backend was named, and is realised where its first port lands', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    expect(made.operationId).toBeNull();
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await objects()).not.toContain(made.id);
    const machine = await makeMachine(projectId, made.id, 3);
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    const seen = await objects();
    expect(seen).toEqual(expect.arrayContaining([made.id, ...machine.ports.map((port) => port.portId)]));
    const rows = await room.database.rows(findPorts, machine.ports.map((port) => port.portId));
    expect(rows.map((row) => row.realised_revision)).toEqual([1, 1, 1]);
    expect(await usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 3 });
  });

  it('tells backends by which names things are found, and from where members are checked', async () => {
    const projectId = freshProject();
    const { result: made } = await networks.create(access, { projectId, name: 'demo', subnet: { cidr: '10.201.0.0/24' } });
    const machine = await makeMachine(projectId, String(made.id));
    await center.ended(machine.operationId);
    const front = await balancers.create(access, { networkId: String(made.id), name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    await center.ended(front.result.operationId);
    const parts = new Map((await center.world.networkParts(tenant.id)).map((part) => [part.id, part.specification]));
    expect(parts.get(String(made.id))).toMatchObject({ domain: 'demo.internal', subnets: [{ cidr: '10.201.0.0/24', healthCheckAddress: '10.201.0.254' }] });
    expect(parts.get(machine.ports[0]?.portId ?? '')).toMatchObject({ name: 'machine-0' });
    expect(parts.get(String(front.result.id))).toMatchObject({ name: 'front' });
  });

  it('plans without writing: the dry run shows block, quota and what is in the way', async () => {
    const projectId = freshProject();
    const { plan } = await networks.create(access, { projectId, name: 'planned', subnet: { cidr: '10.200.0.0/28' } }, { dryRun: true });
    expect(await usage(projectId)).toEqual({});
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
    const projectId = freshProject();
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'ensureNetwork', delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureNetwork', nth: 1 });
    const made = await makeNetwork(projectId, true);
    const failed = await center.ended(made.operationId);
    expect(failed).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED', fault: 'OPERATOR' } });
    expect(await network(made.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await usage(projectId)).toEqual({});
    expect(await fired()).toEqual([1, 1]);
    await center.world.landPending();
    expect(await objects()).not.toContain(made.id);
    await expect(makeMachine(projectId, made.id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    expect(await room.database.rows(tombstones, made.id)).toEqual([{ object_kind: 'network', reason: 'undone' }]);
    await center.operations.retry(String(made.operationId));
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect(await usage(projectId)).toEqual({ 'network.count': 1 });
    expect((await makeMachine(projectId, made.id)).ports).toHaveLength(1);
    expect(await room.database.rows(tombstones, made.id)).toEqual([]);
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('goes on after %s of every first call', async (kind) => {
    const projectId = freshProject();
    for (const method of ['ensureNetwork', 'ensurePort', 'realised', 'removeNetwork']) await center.world.addFault({ kind, method, delayMs: 50 });
    const made = await makeNetwork(projectId, true);
    expect((await center.ended(made.operationId)).state).toBe('SUCCEEDED');
    const machine = await makeMachine(projectId, made.id, 2);
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    await removeMachine(machine.ports);
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await objects()).not.toContain(made.id);
  });

  it('takes back ports whose making failed, also those that a lost call brings late', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    await center.world.addFault({ kind: 'LATE_EFFECT', method: 'ensurePort', nth: 2, delayMs: 100, uncancellable: true });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensurePort', nth: 3, times: 3 });
    const machine = await makeMachine(projectId, made.id, 4);
    expect((await center.ended(machine.operationId)).state).toBe('FAILED');
    expect((await fired())[0]).toBe(1);
    await center.world.landPending();
    const seen = await objects();
    expect(machine.ports.filter((port) => seen.includes(port.portId))).toEqual([]);
    expect((await room.database.rows(leftovers, projectId)).map((row) => row.what)).toEqual(['charge']);
    expect(await usage(projectId)).toEqual({ 'network.count': 1 });
  });

  it('tells a backend again that has lost the network', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId, true);
    await center.ended(made.operationId);
    const driver = await center.drivers.driver(center.backendId);
    await driver.network.removeNetwork({ idempotencyKey: 'gone', timeoutMs: 1000, signal: new AbortController().signal }, made.id);
    const machine = await makeMachine(projectId, made.id);
    expect((await center.ended(machine.operationId)).state).toBe('SUCCEEDED');
    expect(await objects()).toContain(made.id);
  });

  it('adds and removes subnets of a realised network; a failed one leaves the network as it was', async () => {
    const projectId = freshProject();
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
    const machine = await makeMachine(projectId, made.id);
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
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id);
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
    await expect(makeMachine(projectId, made.id)).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.networkId' });
    await center.operations.cancel(String(first.result.operationId));
    expect((await center.ended(first.result.operationId)).state).toBe('CANCELLED');
    expect(await network(made.id)).toMatchObject({ lifecycle: 'PRESENT' });
    const second = await networks.delete(access, { id: made.id, whenInUse: 'WAIT' });
    await removeMachine(machine.ports);
    expect((await center.ended(second.result.operationId)).state).toBe('SUCCEEDED');
    expect(await network(made.id)).toBeUndefined();
    expect(await usage(projectId)).toEqual({});
  });

  it('deletes a network whose making is still under way', async () => {
    const projectId = freshProject();
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureNetwork', times: Infinity });
    const made = await makeNetwork(projectId, true);
    const { result } = await networks.delete(access, { id: made.id });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect((await center.operation(made.operationId)).state).toBe('CANCELLED');
    expect(await network(made.id)).toBeUndefined();
    expect(await usage(projectId)).toEqual({});
  });

  it('keeps one load balancer through members that come, go and fail to come', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id, 3);
    await center.ended(machine.operationId);
    const [one, two, three] = machine.ports.map((port) => port.portId) as [string, string, string];
    const input = { networkId: made.id, name: 'front', listeners: [{ port: 443, memberPort: 6443 }], members: [one] };
    const planned = await balancers.create(access, input, { dryRun: true });
    expect(planned.plan?.changes.resources[0]?.data?.address).toMatch(/^10\./);
    const { result } = await balancers.create(access, input);
    const id = String(result.id);
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    const members = async (): Promise<string[]> => (await room.database.rows(findMembers, [id])).map((row) => row.port_id);
    const change = await balancers.updateMembers(access, { id, add: [two, one], remove: [three] });
    expect((await center.ended(change.result.operationId)).state).toBe('SUCCEEDED');
    expect(await members()).toEqual([one, two].sort());
    expect((await balancers.updateMembers(access, { id, add: [two] })).result.operationId).toBeNull();
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureLoadBalancer' });
    const failing = await balancers.updateMembers(access, { id, add: [three], remove: [one] });
    expect((await center.ended(failing.result.operationId)).state).toBe('FAILED');
    expect(await members()).toEqual([one, two].sort());
    const [row] = await room.database.rows(findLoadBalancers, [id]);
    expect(row).toMatchObject({ lifecycle: 'PRESENT', desired_revision: 4, realised_revision: 4 });
    expect(await usage(projectId)).toEqual({ 'load_balancer.count': 1, 'network.count': 1, 'port.count': 3 });
    const gone = await balancers.delete(access, id);
    expect((await center.ended(gone.result.operationId)).state).toBe('SUCCEEDED');
    expect(await objects()).not.toContain(id);
    expect(await usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 3 });
  });

  it('a load balancer is made and changed once the hosts have it', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id);
    await center.ended(machine.operationId);
    await center.world.addFault({ kind: 'BUSY', method: 'realised' });
    const { result } = await balancers.create(access, { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await fired()).toEqual([1]);
    await center.world.addFault({ kind: 'BUSY', method: 'realised' });
    const change = await balancers.updateMembers(access, { id: String(result.id), add: machine.ports.map((port) => port.portId) });
    expect((await center.ended(change.result.operationId)).state).toBe('SUCCEEDED');
    expect(await fired()).toEqual([1, 1]);
  });

  it('gives back the address of a load balancer that was not made, and takes another when tried again', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id);
    await center.ended(machine.operationId);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureLoadBalancer' });
    const input = { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] };
    const { result } = await balancers.create(access, input);
    expect((await center.ended(result.operationId)).state).toBe('FAILED');
    const find = async () => (await room.database.rows(findLoadBalancers, [String(result.id)]))[0];
    expect(await find()).toMatchObject({ lifecycle: 'FAILED', address: null, failure: { code: 'BACKEND_FAILED' } });
    expect(await usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 1 });
    await center.operations.retry(String(result.operationId));
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await find()).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect((await find())?.address).toMatch(/^10\./);
    expect(await usage(projectId)).toEqual({ 'load_balancer.count': 1, 'network.count': 1, 'port.count': 1 });
  });

  it('goes with its project: load balancers, then networks, and nothing is left', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id);
    await center.ended(machine.operationId);
    await center.ended((await balancers.create(access, { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] })).result.operationId);
    await makeNetwork(projectId, true);
    const scope = { tenantId: tenant.id, projectId };
    const counts = async () => Object.fromEntries(await Promise.all(networkScopeContents.map(async (each) => [each.kind, await each.count(room.database, scope)])));
    expect(await counts()).toMatchObject({ 'floating ip': 0, router: 0, 'load balancer': 1, network: 2, port: 1, subnet: 2, address: 2 });
    await removeMachine(machine.ports);
    for (const contents of networkScopeContents.filter((each) => each.planDeletion !== undefined)) {
      await center.operations.submit((await contents.planDeletion?.(room.database, scope, 10)) ?? new ChangeSet());
      expect((await contents.planDeletion?.(room.database, scope, 10))?.items(OPERATIONS)).toEqual([]);
      await expect.poll(() => contents.count(room.database, scope), { timeout: 10_000 }).toBe(0);
    }
    expect(await counts()).toMatchObject({ 'floating ip': 0, router: 0, 'load balancer': 0, network: 0, port: 0, subnet: 0, address: 0 });
    expect(await usage(projectId)).toEqual({});
  });

  it('repairs by an operation what a backend has lost, and leaves alone what is as it should be', async () => {
    const projectId = freshProject();
    const made = await makeNetwork(projectId);
    const machine = await makeMachine(projectId, made.id, 2);
    await center.ended(machine.operationId);
    const front = await balancers.create(access, { networkId: made.id, name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    await center.ended(front.result.operationId);
    const submitted: string[] = [];
    const run = async (): Promise<void> => {
      const context: ReconcilerContext = {
        signal: AbortSignal.timeout(10_000),
        fence: 1,
        reader: room.database,
        log: room.log,
        submit: async (changes) => {
          const result = await center.operations.submit(changes);
          submitted.push(String(result.operationId));
          return result;
        },
      };
      await networkDrift(center.drivers, { graceMs: 0 }).run(context);
    };
    await run();
    expect(submitted).toEqual([]);
    const { network: driver } = await center.drivers.driver(center.backendId);
    const call = () => ({ idempotencyKey: `lost-${names}`, timeoutMs: 1000, signal: new AbortController().signal });
    const [one] = machine.ports.map((port) => port.portId);
    await driver.removePort(call(), one ?? '');
    await driver.removeLoadBalancer(call(), String(front.result.id));
    await run();
    expect(submitted).toHaveLength(1);
    expect(await center.ended(submitted[0])).toMatchObject({ state: 'SUCCEEDED', kind: 'network.network.repair' });
    expect(await objects()).toEqual(expect.arrayContaining([one, String(front.result.id)]));
    await run();
    expect(submitted).toHaveLength(1);
    // Of what is still there with its revision, and yet no longer as it was told.
    for (const id of [made.id, one ?? '', String(front.result.id)]) {
      await center.world.damagePart(id);
      await run();
      expect(await center.ended(submitted.at(-1))).toMatchObject({ state: 'SUCCEEDED', kind: 'network.network.repair' });
    }
    expect(submitted).toHaveLength(4);
    await run();
    expect(submitted).toHaveLength(4);
  });
});
