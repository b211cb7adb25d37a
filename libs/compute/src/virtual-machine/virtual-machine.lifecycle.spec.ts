import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { insertRows, statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { eventsRoom } from '#events';
import { identityRoom, type CommandResult } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { NetworkRealiser, networkOperations, networkRoom, NetworkService, registerNetworkSections } from '#network';
import { operationsRoom } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { DiskRealiser, findDisksOfOwners, storageRoom } from '#storage';
import { tenancyRoom } from '#tenancy';
import { newTenant, roomDatabase, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import {
  AffinityGroupService,
  computeOperations,
  computeRoom,
  findVirtualMachines,
  FlavorService,
  ImageService,
  MachineRealiser,
  machineState,
  registerComputeSections,
  VirtualMachineService,
  type VirtualMachineRow,
} from '../index.js';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.compute_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);
const setTenantState = statement<{ id: string }, [id: string, state: string]>('spec.compute_tenant_state', 'UPDATE scope SET state = $2 WHERE id = $1 RETURNING id');
const leftovers = statement<{ what: string }, [projectId: string]>(
  'spec.compute_leftovers',
  `SELECT 'port' AS what FROM port WHERE project_id = $1 UNION ALL SELECT 'disk' FROM disk WHERE project_id = $1
   UNION ALL SELECT 'address' FROM address_allocation WHERE project_id = $1 AND owner_id <> subnet_id
   UNION ALL SELECT 'host claim' FROM host_claim WHERE project_id = $1
   UNION ALL SELECT 'datastore claim' FROM datastore_claim WHERE project_id = $1
   UNION ALL SELECT 'charge' FROM quota_charge WHERE project_id = $1 AND resource_kind <> 'net'
   UNION ALL SELECT 'lock' FROM resource_lock WHERE resource_id LIKE 'vm%'`,
);

describe('virtual machines on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let tenant: TestTenant;
  let service: VirtualMachineService;
  let groups: AffinityGroupService;
  let networks: NetworkService;
  const access = systemAccess();
  let projects = 0;

  beforeAll(async () => {
    room = await roomDatabase([
      secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, placementRoom, networkRoom,
      storageRoom, computeRoom, tenancyRoom,
    ]);
    center = await testDatacenter(room, {
      hosts: 3,
      sections: (applier) => {
        registerNetworkSections(applier);
        registerComputeSections(applier);
      },
      kinds: (drivers, secrets) => {
        const settleMs = 150;
        const realiser = new NetworkRealiser(drivers, { settleMs });
        const disks = new DiskRealiser(drivers, { settleMs });
        return [...networkOperations(realiser), ...computeOperations({ networks: realiser, disks, machines: new MachineRealiser(drivers, secrets, { settleMs }) })];
      },
    });
    tenant = await newTenant(room.database, 12);
    await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [{ id: tenant.id, tenant_id: tenant.id }]));
    networks = new NetworkService(center.commands, center.ledger);
    groups = new AffinityGroupService(center.commands);
    service = new VirtualMachineService(center.commands, center.ledger, center.drivers, center.secrets);
    const flavors = new FlavorService(center.commands);
    await flavors.create(access, { name: 'small', cpu: 1, memoryMib: 512, diskGib: 10 });
    await flavors.create(access, { name: 'large', cpu: 4, memoryMib: 2048, diskGib: 10, costs: [{ key: 'gpu.count', amount: 1 }] });
    await flavors.create(access, { name: 'roomy', cpu: 2, memoryMib: 512, diskGib: 40 });
    await flavors.create(access, { name: 'vast', cpu: 2, memoryMib: 512, diskGib: 5000 });
    await new ImageService(center.commands).create(access, { name: 'debian', reference: 'debian-12', operatingSystem: 'Debian 12', minimumDiskGib: 2 });
  });
  afterEach(() => center.world.clearFaults());
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  async function freshProject(): Promise<{ projectId: string; networkId: string }> {
    const projectId = tenant.projectIds[projects++] ?? '';
    const { result } = await networks.create(access, { projectId, name: 'net', subnet: {} });
    return { projectId, networkId: String(result.id) };
  }
  const find = async (id: unknown): Promise<VirtualMachineRow> => {
    const [row] = await room.database.rows(findVirtualMachines, [String(id)]);
    if (row === undefined) throw new Error(`no machine ${String(id)}`);
    return row;
  };
  const usage = async (projectId: string): Promise<Record<string, number>> =>
    Object.fromEntries((await room.database.rows(used, projectId)).map((row) => [row.resource_key, row.used_amount]));
  const left = async (projectId: string): Promise<string[]> => (await room.database.rows(leftovers, projectId)).map((row) => row.what);
  const objects = async (): Promise<string[]> => (await center.world.objects()).filter((each) => each.kind !== 'NETWORK').map((each) => each.id);
  async function running(project: { projectId: string; networkId: string }, name: string): Promise<string> {
    const { result } = await service.create(access, { ...project, name, flavor: 'small', image: 'debian' });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    return String(result.id);
  }

  it('makes a machine with its port and disk, counts it, and deletes it without a trace', async () => {
    const project = await freshProject();
    const id = await running(project, 'one');
    expect(machineState(await find(id))).toBe('RUNNING');
    expect(await usage(project.projectId)).toMatchObject({ 'vm.count': 1, 'vm.cpu': 1, 'vm.memory': 512, 'disk.capacity': 10, 'disk.count': 1 });
    expect(await objects()).toHaveLength(3);
    const { result } = await service.delete(access, id);
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await expect(find(id)).rejects.toThrow('no machine');
    expect(await left(project.projectId)).toEqual([]);
    expect(await objects()).toEqual([]);
  });

  it('shows what it would do, and does exactly that', async () => {
    const project = await freshProject();
    const { plan } = await service.create(access, { ...project, name: 'planned', flavor: 'small', image: 'debian' }, { dryRun: true });
    expect(plan?.changes.resources.map((each) => each.kind)).toEqual(['virtual machine', 'port', 'disk']);
    expect(plan?.changes.problems).toEqual([]);
    expect(plan?.changes.reasons.map((each) => each.subject)).toContain('placement');
    expect(await left(project.projectId)).toEqual([]);
    const applied = await center.commands.applyPlan(access, String(plan?.id));
    expect(await center.ended(applied.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const machine = await find(applied.result.id);
    expect(machine.host_id).toBe(plan?.changes.resources[0]?.data?.hostId);
  });

  it('shows in the plan what it would be refused with: a name that is taken, a tenant that is suspended, a machine that is busy', async () => {
    const project = await freshProject();
    const id = await running(project, 'taken');
    const problems = async (planned: Promise<CommandResult>): Promise<string[]> => (await planned).plan?.changes.problems.map(({ code }) => code) ?? [];
    const again = { ...project, name: 'taken', flavor: 'small', image: 'debian' };
    expect(await problems(service.create(access, again, { dryRun: true }))).toEqual(['ALREADY_EXISTS']);
    await center.world.addFault({ kind: FaultKind.BUSY, method: 'stopMachine', times: 1000 });
    const { result } = await service.power(access, id, 'STOP');
    expect(await problems(service.power(access, id, 'RESTART', { dryRun: true }))).toEqual(['RESOURCE_BUSY']);
    expect(await problems(service.delete(access, id, { dryRun: true }))).toEqual([]);
    await center.world.clearFaults();
    await center.ended(result.operationId);
    const suspend = (state: string): Promise<unknown> => room.database.rows(setTenantState, tenant.id, state);
    await suspend('SUSPENDED');
    expect(await problems(service.create(access, { ...again, name: 'free' }, { dryRun: true }))).toEqual(['INVALID_STATE']);
    await suspend('ACTIVE');
    expect(await problems(service.create(access, { ...again, name: 'free' }, { dryRun: true }))).toEqual([]);
  });

  it('takes everything back when the backend refuses, keeps the name and the reason, and can then be deleted', async () => {
    const project = await freshProject();
    const before = await objects();
    await center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine' });
    const { result } = await service.create(access, { ...project, name: 'refused', flavor: 'small', image: 'debian' });
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await find(result.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await left(project.projectId)).toEqual([]);
    expect(await objects()).toEqual(before);
    const again = service.create(access, { ...project, name: 'refused', flavor: 'small', image: 'debian' });
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const deleted = await service.delete(access, String(result.id));
    expect(await center.ended(deleted.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('stops, starts, suspends and resumes, and refuses what the state does not allow', async () => {
    const project = await freshProject();
    const id = await running(project, 'power');
    await expect(service.power(access, id, 'START')).rejects.toMatchObject({ code: 'INVALID_STATE' });
    for (const [action, state] of [['STOP', 'STOPPED'], ['START', 'RUNNING'], ['SUSPEND', 'SUSPENDED'], ['RESUME', 'RUNNING'], ['RESTART', 'RUNNING']] as const) {
      const { result } = await service.power(access, id, action);
      expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(machineState(await find(id))).toBe(state);
    }
    await center.world.addFault({ kind: FaultKind.REFUSED, method: 'stopMachine', times: 1 });
    const { result } = await service.power(access, id, 'STOP');
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(machineState(await find(id))).toBe('RUNNING');
  });

  it('starts a machine once its hosts have what its network was told', async () => {
    const id = await running(await freshProject(), 'returned');
    await center.ended((await service.power(access, id, 'STOP')).result.operationId);
    await center.world.addFault({ kind: 'BUSY', method: 'realised' });
    expect(await center.ended((await service.power(access, id, 'START')).result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await center.world.faults()).map((fault) => fault.fired)).toEqual([1]);
  });

  it('resizes with the larger of two sizes charged meanwhile, and back to the old when it fails', async () => {
    const project = await freshProject();
    const id = await running(project, 'size');
    await expect(service.resize(access, id, 'large')).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await center.ended((await service.power(access, id, 'STOP')).result.operationId);
    await center.world.addFault({ kind: FaultKind.REFUSED, method: 'resizeMachine', times: 1 });
    const failing = await service.resize(access, id, 'large');
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 4, 'gpu.count': 1 });
    expect(await center.ended(failing.result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 1, 'vm.memory': 512 });
    expect(await find(id)).toMatchObject({ cpu: 1, memory_mib: 512 });
    const { result } = await service.resize(access, id, 'large');
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 4, 'vm.memory': 2048, 'gpu.count': 1 });
    expect((await center.world.machine(id))?.cpu).toBe(4);
  });

  it('resizes the root disk with the machine, counts it, and takes all of it back when the disk cannot grow', async () => {
    const project = await freshProject();
    const id = await running(project, 'grows');
    await center.ended((await service.power(access, id, 'STOP')).result.operationId);
    const rootDisk = async (): Promise<number[]> => (await room.database.rows(findDisksOfOwners, [id])).flatMap((disk) => [disk.size_gib, disk.realised_gib]);
    const { plan } = await service.resize(access, id, 'roomy', { dryRun: true });
    expect(plan?.changes.resources.map(({ kind, data }) => ({ kind, data }))).toEqual([
      { kind: 'virtual machine', data: { flavor: 'roomy' } },
      { kind: 'disk', data: { fromGib: 10, toGib: 40 } },
    ]);
    await center.world.addFault({ kind: FaultKind.REFUSED, method: 'resizeDisk', times: 1 });
    const failing = await service.resize(access, id, 'roomy');
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 2, 'disk.capacity': 40 });
    expect(await center.ended(failing.result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 1, 'disk.capacity': 10 });
    expect(await find(id)).toMatchObject({ cpu: 1 });
    expect((await center.world.machine(id))?.cpu).toBe(1);
    expect(await rootDisk()).toEqual([10, 10]);
    expect(await center.ended((await service.resize(access, id, 'roomy')).result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await rootDisk()).toEqual([40, 40]);
    expect(await usage(project.projectId)).toMatchObject({ 'vm.cpu': 2, 'disk.capacity': 40 });
    await expect(service.resize(access, id, 'small')).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.flavor' });
    await expect(service.resize(access, id, 'vast')).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { neededGib: 4960 } });
  });

  it('keeps members of a REQUIRE group apart, also when they are asked for at once, and refuses the one too many', async () => {
    const project = await freshProject();
    const group = await groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY' });
    const ask = (name: string) => service.create(access, { ...project, name, flavor: 'small', image: 'debian', affinityGroup: String(group.result.id), power: 'STOPPED' });
    const all = await Promise.allSettled(['a', 'b', 'c', 'd'].map(ask));
    const made = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const refused = all.flatMap((each) => (each.status === 'rejected' ? [each.reason as { code: string }] : []));
    expect(refused.map((each) => each.code)).toEqual(['INSUFFICIENT_CAPACITY']);
    const hosts = await Promise.all(made.map(async ({ result }) => (await find(result.id)).host_id));
    expect(new Set(hosts).size).toBe(3);
    await Promise.all(made.map(({ result }) => center.ended(result.operationId)));
  });

  it('deletes a machine that is still being made: the making is cancelled, taken back, and the delete runs next', async () => {
    const project = await freshProject();
    const before = await objects();
    await center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine' });
    const { result } = await service.create(access, { ...project, name: 'early', flavor: 'small', image: 'debian' });
    const busy = { code: 'RESOURCE_BUSY', retryable: true, data: { operationId: result.operationId } };
    await expect(service.power(access, String(result.id), 'STOP')).rejects.toMatchObject(busy);
    await expect(service.resize(access, String(result.id), 'large')).rejects.toMatchObject(busy);
    const deleted = await service.delete(access, String(result.id));
    const hold = { kind: FaultKind.BUSY, method: 'deleteMachine', keyContains: String(deleted.result.operationId), times: 1000 };
    await center.world.addFault(hold);
    expect(await center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    await expect(service.delete(access, String(result.id))).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await center.world.clearFaults();
    expect(await center.ended(deleted.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await left(project.projectId)).toEqual([]);
    expect(await objects()).toEqual(before);
  });

  it('shows the numbers when the quota or the hosts are full, and writes nothing', async () => {
    const project = await freshProject();
    const flavors = new FlavorService(center.commands);
    await flavors.create(access, { name: 'giant', cpu: 1, memoryMib: 999_999, diskGib: 10 });
    const full = service.create(access, { ...project, name: 'full', flavor: 'giant', image: 'debian' });
    await expect(full).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', fault: 'OPERATOR' });
    expect(await left(project.projectId)).toEqual([]);
  });
});
