import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '#database';
import { FaultKind } from '#driver-simulated';
import { EventFeed } from '#events';
import { auditEntries, auditParameters, type Access } from '#identity';
import { OperationQueries, OperationRequests } from '#operations';
import { operationsResolvers } from '#operations/api';
import { DiskRealiser, DiskService, DiskSnapshotService, storageOperations, StoragePolicyService } from '#storage';
import { storageResolvers } from '#storage/api';
import { accessWith, computeBench, countStatements, systemAccess, testApi, type BenchProject, type ComputeBench, type TestApi } from '#testing';
import { computeResolvers } from './api.js';
import { DiskAttachmentService, MachineConsoleService, storagePolicyUsers } from './index.js';

const MACHINE = `id name tenantId projectId ownerId state conditions { type status reason message since } failure { code message }
  desiredPower observedPower observedAt cpu memoryMib zoneId hostId instanceId recovery metadata version revision createdAt updatedAt
  flavor { id name costs { key amount } } image { id name } affinityGroup { id name policy }
  ports { id networkId subnetId address macAddress } addresses disks { id name sizeGib }
  currentOperation { id state } blockers { code }`;

interface MachineShown {
  id: string;
  name: string;
  state: string;
  conditions: { type: string; status: string; reason: string }[];
  hostId: string | null;
  instanceId: string | null;
  recovery: string;
  version: number;
  flavor: { name: string };
  image: { name: string };
  affinityGroup: { name: string } | null;
  ports: { networkId: string; address: string }[];
  addresses: string[];
  disks: { sizeGib: number }[];
  metadata: Record<string, string>;
  currentOperation: { id: string } | null;
}
interface Changed {
  virtualMachine: MachineShown | null;
  operation: { id: string; kind: string } | null;
  plan: { id: string; problems: { code: string; message: string }[]; resources: { kind: string; name: string }[] } | null;
}

describe('compute over GraphQL', () => {
  let bench: ComputeBench;
  let api: TestApi;
  let project: BenchProject;
  let database: Database;
  let annAccess: Access;

  beforeAll(async () => {
    bench = await computeBench({ moreKinds: (drivers) => storageOperations(new DiskRealiser(drivers)) });
    // Apart from the engine's, so that statements can be counted.
    database = await bench.room.another();
    const { log } = bench.room;
    const { commands, drivers, ledger, operations } = bench.center;
    const disks = new DiskService(commands, ledger);
    project = await bench.freshProject();
    annAccess = accessWith([{ role: 'OWNER', tenantId: bench.tenant.id, projectId: project.projectId }], 'pri_ann');
    api = await testApi({
      log,
      services: [
        database,
        new EventFeed(database, log),
        bench.machines,
        bench.groups,
        bench.flavors,
        bench.images,
        disks,
        new DiskSnapshotService(commands, ledger, drivers),
        new StoragePolicyService(commands, storagePolicyUsers),
        new DiskAttachmentService(commands, disks),
        new MachineConsoleService(database, commands, drivers),
        new OperationQueries(),
        new OperationRequests(commands, operations),
      ],
      resolvers: [...operationsResolvers, ...storageResolvers, ...computeResolvers],
      callers: {
        operator: systemAccess(),
        ann: annAccess,
        stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }], 'pri_stranger'),
      },
    });
  });
  afterAll(async () => {
    await api.close();
    await bench.close();
  });

  async function mutate(name: string, input: Record<string, unknown>, caller = 'ann'): Promise<Changed> {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) {
      virtualMachine { ${MACHINE} } operation { id kind } plan { id problems { code message } resources { kind name data } reasons { message data } } } }`;
    return (await api.data<Record<string, Changed>>(caller, query, { input }))[name] as Changed;
  }
  async function done(changed: Changed): Promise<void> {
    expect(await bench.center.ended(changed.operation?.id)).toMatchObject({ state: 'SUCCEEDED' });
  }
  const show = async (id: unknown, caller = 'ann'): Promise<MachineShown> =>
    (await api.compiled<{ virtualMachine: MachineShown }>(caller, `query ($id: ID!) { virtualMachine(id: $id) { ${MACHINE} } }`, { id })).virtualMachine;

  it('makes a machine, shows it with all that belongs to it, and deletes it', async () => {
    const input = { ...project, name: 'web', flavor: 'small', image: 'debian', metadata: { team: 'shop' } };
    const planned = await mutate('createVirtualMachine', { ...input, dryRun: true });
    expect(planned).toMatchObject({ virtualMachine: null, operation: null, plan: { problems: [] } });
    expect(planned.plan?.resources.map((each) => each.kind)).toEqual(['virtual machine', 'port', 'disk']);
    const hosts = bench.center.hostIds.filter((id) => JSON.stringify(planned).includes(id));
    expect(hosts).toEqual([]);

    const made = await mutate('createVirtualMachine', { ...input, userData: 'password: canary-of-user-data' });
    const audited = await auditEntries.page(bench.room.database, auditParameters(systemAccess().filter('audit entry'), {}), 'NEWEST', { first: 1 });
    expect(audited.rows).toMatchObject([{ command: 'createVirtualMachine', input: { name: 'web', userData: '[29 characters]' } }]);
    expect(made).toMatchObject({ plan: null, operation: { kind: 'compute.virtual_machine.create' } });
    expect(made.virtualMachine).toMatchObject({ name: 'web', state: 'CREATING', currentOperation: { id: made.operation?.id } });
    await done(made);
    const machine = await show(made.virtualMachine?.id);
    expect(machine).toMatchObject({
      state: 'RUNNING',
      flavor: { name: 'small' },
      image: { name: 'debian' },
      affinityGroup: null,
      metadata: { team: 'shop' },
      disks: [{ sizeGib: 10 }],
      ports: [{ networkId: project.networkId }],
      currentOperation: null,
    });
    expect(machine.addresses).toEqual(machine.ports.map((each) => each.address));
    expect(machine.conditions.map(({ type, status }) => `${type} ${status}`)).toEqual(['READY TRUE', 'HOST_REACHABLE TRUE', 'IN_PLACE TRUE']);
    const byName = 'query ($projectId: ID!) { virtualMachine(projectId: $projectId, name: "web") { id } }';
    expect(await api.data('ann', byName, { projectId: project.projectId })).toEqual({ virtualMachine: { id: machine.id } });
    const { node } = await api.data<{ node: unknown }>('ann', `{ node(id: "${machine.id}") { __typename ... on VirtualMachine { name } } }`);
    expect(node).toEqual({ __typename: 'VirtualMachine', name: 'web' });
    const { operation } = await api.data<{ operation: unknown }>('ann', `{ operation(id: "${made.operation?.id}") { resource { id } } }`);
    expect(operation).toEqual({ resource: { id: machine.id } });

    await done(await mutate('deleteVirtualMachine', { id: machine.id }));
    const gone = await api.ask('ann', `{ virtualMachine(id: "${machine.id}") { id } }`);
    expect(gone.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'id' });
  });

  it('changes power and size, and refuses an outdated version with CONFLICT', async () => {
    const id = await bench.running(project, 'power');
    const states: string[] = [];
    for (const [mutation, input] of [
      ['restartVirtualMachine', {}],
      ['suspendVirtualMachine', {}],
      ['resumeVirtualMachine', {}],
      ['stopVirtualMachine', { force: true }],
      ['resizeVirtualMachine', { flavor: 'large' }],
      ['startVirtualMachine', {}],
    ] as const) {
      const changed = await mutate(mutation, { id, ...input });
      await done(changed);
      states.push((await bench.machine(id)).observed_power);
    }
    expect(states).toEqual(['RUNNING', 'SUSPENDED', 'RUNNING', 'STOPPED', 'STOPPED', 'RUNNING']);
    const machine = await show(id);
    expect(machine).toMatchObject({ state: 'RUNNING', cpu: 4, memoryMib: 2048, flavor: { name: 'large' } });
    const outdated = await api.ask('ann', `mutation { stopVirtualMachine(input: { id: "${id}", expectedVersion: ${machine.version - 1} }) { plan { id } } }`);
    expect(outdated.errors?.[0]?.extensions.code).toBe('CONFLICT');
    const stopped = await mutate('stopVirtualMachine', { id, expectedVersion: machine.version, dryRun: true });
    expect(stopped).toMatchObject({ operation: null, plan: { resources: [{ kind: 'virtual machine' }] } });
    const wrong = await api.ask('ann', `mutation { startVirtualMachine(input: { id: "${id}" }) { plan { id } } }`);
    expect(wrong.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_STATE', data: { state: 'RUNNING' } });
  });

  it('takes a policy for the loss of its host, tells of it, and shows only operators what the backend calls the machine', async () => {
    const input = { ...project, name: 'lost', flavor: 'small', image: 'debian', recovery: 'RECREATE' };
    const made = await mutate('createVirtualMachine', input);
    await done(made);
    const id = made.virtualMachine?.id ?? '';
    const machine = await show(id);
    expect(machine).toMatchObject({ recovery: 'RECREATE', instanceId: null });
    expect(machine.conditions.at(-1)).toMatchObject({ type: 'RECOVERY', status: 'TRUE', reason: 'PREPARED' });
    const update = 'mutation ($input: UpdateVirtualMachineInput!) { updateVirtualMachine(input: $input) { plan { resources { data } } virtualMachine { recovery } } }';
    const change = { id, recovery: 'NONE', expectedVersion: machine.version };
    expect(await api.data('ann', update, { input: { ...change, dryRun: true } })).toEqual({
      updateVirtualMachine: { plan: { resources: [{ data: { recovery: 'NONE' } }] }, virtualMachine: { recovery: 'RECREATE' } },
    });
    expect(await api.data('ann', update, { input: change })).toEqual({ updateVirtualMachine: { plan: null, virtualMachine: { recovery: 'NONE' } } });
    expect((await api.ask('ann', update, { input: change })).errors?.[0]?.extensions.code).toBe('CONFLICT');
    expect((await show(id)).conditions).toHaveLength(3);
    expect(await api.data('operator', `{ virtualMachine(id: "${id}") { instanceId } }`)).toEqual({ virtualMachine: { instanceId: id } });
    await done(await mutate('deleteVirtualMachine', { id }));
  });

  it('answers each of two mutations of a document with what is so after it', async () => {
    const id = await bench.running(project, 'twice-changed');
    const text = `mutation { one: stopVirtualMachine(input: { id: "${id}" }) { virtualMachine { state currentOperation { kind } } }
      other: deleteVirtualMachine(input: { id: "${id}" }) { virtualMachine { state } operation { id kind } } }`;
    // Neither ends before it has been read.
    for (const method of ['stopMachine', 'deleteMachine']) await bench.center.world.addFault({ kind: FaultKind.BUSY, method, times: 1000 });
    const answer = await api.data<{ one: unknown; other: Changed }>('ann', text);
    expect(answer.one).toEqual({ virtualMachine: { state: 'STOPPING', currentOperation: { kind: 'compute.virtual_machine.power' } } });
    expect(answer.other).toMatchObject({ virtualMachine: { state: 'DELETING' }, operation: { kind: 'compute.virtual_machine.delete' } });
    await bench.center.world.clearFaults();
    await done(answer.other);
  });

  it('names the field at fault', async () => {
    const refusalOf = (userData: string) => async (more: Record<string, unknown>): Promise<string> => {
      const input = { ...project, name: 'fine', flavor: 'small', image: 'debian', userData, ...more };
      return JSON.stringify(await api.ask('ann', 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { plan { id } } }', { input }));
    };
    const create = async (more: Record<string, unknown>): Promise<unknown> => {
      const input = { ...project, name: 'fine', flavor: 'small', image: 'debian', ...more };
      const answer = await api.ask('ann', 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { plan { id } } }', { input });
      return [answer.errors?.[0]?.extensions.code, answer.errors?.[0]?.extensions.field];
    };
    expect(await create({ name: 'Not A Name' })).toEqual(['INVALID_INPUT', 'input.name']);
    expect(await create({ flavor: 'none' })).toEqual(['NOT_FOUND', 'input.flavor']);
    expect(await create({ image: 'none' })).toEqual(['NOT_FOUND', 'input.image']);
    expect(await create({ zone: 'none' })).toEqual(['NOT_FOUND', 'input.zone']);
    expect(await create({ affinityGroup: 'none' })).toEqual(['NOT_FOUND', 'input.affinityGroup']);
    expect(await create({ userData: 'ü'.repeat(20_000) })).toEqual(['INVALID_INPUT', 'input.userData']);
    const text = 'canary-of-user-data';
    const answers = await Promise.all([{ flavor: undefined }, { power: 'SUSPENDED' }, { name: 'Not A Name' }, { surplus: 1 }, { userData: [text] }].map(refusalOf(text)));
    expect(answers.filter((answer) => answer.includes(text))).toEqual([]);
    expect(await create({ power: 'SUSPENDED' })).toEqual(['INVALID_INPUT', 'input.power']);
    expect(await create({ metadata: { team: 5 } })).toEqual(['INVALID_INPUT', 'input.metadata.team']);
    expect(await create({ projectId: bench.tenant.projectIds.at(-1) })).toEqual(['NOT_FOUND', 'input.projectId']);
  });

  it('lists machines by filters, and reads fifty with all that belongs to them in as many statements as one', async () => {
    const own = await bench.freshProject();
    for (const name of ['a', 'b', 'c']) await bench.running(own, name, { power: name === 'b' ? 'STOPPED' : 'RUNNING' });
    interface Listed {
      virtualMachines: { nodes: { name: string; hostId: string | null }[]; totalCount: number | null; eventCursor: string | null };
    }
    const list = async (rest: string, caller = 'operator', fields = 'nodes { name hostId }'): Promise<Listed['virtualMachines']> =>
      (await api.data<Listed>(caller, `{ virtualMachines(projectId: "${own.projectId}" ${rest}) { ${fields} } }`)).virtualMachines;
    const all = await list('order: NAME', 'operator', 'nodes { name hostId } totalCount eventCursor');
    expect(all).toMatchObject({ totalCount: 3, eventCursor: expect.any(String) as string });
    expect(all.nodes.map((node) => node.name)).toEqual(['a', 'b', 'c']);
    expect(all.nodes.every((node) => node.hostId !== null)).toBe(true);
    expect((await list('states: [STOPPED]')).nodes.map((node) => node.name)).toEqual(['b']);
    expect((await list('states: [RUNNING, FAILED] order: NEWEST')).nodes.map((node) => node.name)).toEqual(['c', 'a']);
    expect((await list(`hostId: "${all.nodes[0]?.hostId}"`)).nodes.length).toBeGreaterThan(0);
    expect((await list('', 'ann')).nodes).toEqual([]);
    expect((await list('', 'stranger')).nodes).toEqual([]);

    const rich = (first: number): Promise<number> =>
      countStatements(database, () => api.data('operator', `query ($first: Int) { virtualMachines(first: $first) { nodes { ${MACHINE} } } }`, { first }));
    const one = await rich(1);
    expect(one).toBeGreaterThan(5);
    expect(await rich(50)).toBeLessThanOrEqual(one);
  });

  it('attaches a disk and detaches it, shows it from both sides, and reads the console', async () => {
    const { projectId } = project;
    const id = await bench.running(project, 'with-disks');
    const change = async (name: string, input: Record<string, unknown>): Promise<{ id: string; state: string; virtualMachine: { id: string } | null }> => {
      const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
      const query = `mutation ($input: ${type}!) { ${name}(input: $input) { disk { id state version virtualMachine { id } } operation { id kind } plan { problems { code } } } }`;
      const changed = (await api.data<Record<string, { disk: never; operation: { id: string } | null }>>('ann', query, { input }))[name];
      if (changed?.operation != null) expect((await bench.center.ended(changed.operation.id)).state).toBe('SUCCEEDED');
      return changed?.disk as never;
    };
    const made = await change('createDisk', { projectId, name: 'data', sizeGib: 1, virtualMachineId: id });
    await change('attachDisk', { diskId: made.id, virtualMachineId: id, dryRun: true });
    expect(await change('attachDisk', { diskId: made.id, virtualMachineId: id, expectedVersion: 1 })).toMatchObject({ state: 'ATTACHING', virtualMachine: { id } });
    expect((await show(id)).disks).toEqual([expect.objectContaining({ name: 'with-disks' }), expect.objectContaining({ id: made.id, name: 'data' })]);
    const listed = (first: number): Promise<number> =>
      countStatements(database, () => api.data('ann', `query ($first: Int) { disks(first: $first) { nodes { isRoot virtualMachine { id name } } } }`, { first }));
    expect(await listed(50)).toBeLessThanOrEqual(await listed(1));
    expect(await change('detachDisk', { diskId: made.id })).toMatchObject({ state: 'DETACHING', virtualMachine: { id } });
    expect((await api.ask('stranger', `mutation { attachDisk(input: { diskId: "${made.id}", virtualMachineId: "${id}" }) { operation { id } } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    const read = `mutation { readVirtualMachineConsole(input: { id: "${id}", lines: 1 }) { output isTruncated virtualMachine { id } } }`;
    expect(await api.data('ann', read)).toEqual({ readVirtualMachineConsole: { output: 'with-disks login:', isTruncated: true, virtualMachine: { id } } });
    await change('deleteDisk', { id: made.id });
    await done(await mutate('deleteVirtualMachine', { id }));
  });

  it('hides hosts from tenants, and everything from strangers', async () => {
    const id = await bench.running(project, 'hidden');
    expect((await show(id, 'ann')).hostId).toBeNull();
    expect((await show(id, 'operator')).hostId).toBe((await bench.machine(id)).host_id);
    const byHost = await api.ask('ann', '{ virtualMachines(hostId: "hst_x") { nodes { id } } }');
    expect(byHost.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    for (const text of [
      `{ virtualMachine(id: "${id}") { id } }`,
      `{ virtualMachine(projectId: "${project.projectId}", name: "hidden") { id } }`,
      `{ node(id: "${id}") { id } }`,
      `mutation { deleteVirtualMachine(input: { id: "${id}" }) { plan { id } } }`,
      `mutation { createAffinityGroup(input: { projectId: "${project.projectId}", name: "x", policy: AFFINITY }) { plan { id } } }`,
    ]) {
      expect((await api.ask('stranger', text)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
  });

  it('offers flavors and images, made and withdrawn by operators', async () => {
    const flavor = 'mutation { createFlavor(input: { name: "gpu", cpu: 2, memoryMib: 1024, diskGib: 20, costs: [{ key: "gpu.count", amount: 1 }] }) { flavor { id name costs { key amount } state } } }';
    expect((await api.ask('ann', flavor)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const { createFlavor } = await api.data<{ createFlavor: { flavor: { id: string } } }>('operator', flavor);
    expect(createFlavor.flavor).toMatchObject({ name: 'gpu', costs: [{ key: 'gpu.count', amount: 1 }], state: 'ACTIVE' });
    const { image } = (
      await api.data<{ createImage: { image: { id: string } } }>(
        'operator',
        'mutation { createImage(input: { name: "suse", reference: "suse-16", operatingSystem: "SUSE 16", minimumDiskGib: 3 }) { image { id projectId } } }',
      )
    ).createImage;
    expect(await api.data('ann', '{ flavor(name: "gpu") { diskGib } image(name: "suse") { minimumDiskGib } }')).toEqual({
      flavor: { diskGib: 20 },
      image: { minimumDiskGib: 3 },
    });
    const lists = await api.data('ann', '{ flavors { nodes { name } totalCount } images(name: "suse") { nodes { id } totalCount } }');
    expect(lists).toEqual({
      flavors: { nodes: [{ name: 'gpu' }, { name: 'large' }, { name: 'small' }], totalCount: 3 },
      images: { nodes: [{ id: image.id }], totalCount: 1 },
    });
    const both = await api.ask('ann', '{ flavor(id: "x", name: "gpu") { id } }');
    expect(both.errors?.[0]?.extensions.code).toBe('INVALID_INPUT');

    const id = await bench.running(project, 'with-gpu', { flavor: 'gpu', image: 'suse' });
    const withdraw = `mutation { deleteFlavor(input: { id: "${createFlavor.flavor.id}" }) { flavorId flavor { state } }
      deleteImage(input: { id: "${image.id}" }) { image { state } } }`;
    expect(await api.data('operator', withdraw)).toEqual({
      deleteFlavor: { flavorId: createFlavor.flavor.id, flavor: { state: 'PENDING_DELETE' } },
      deleteImage: { image: { state: 'PENDING_DELETE' } },
    });
    await done(await mutate('deleteVirtualMachine', { id }));
    const gone = await api.ask('operator', '{ flavor(name: "gpu") { id } }');
    expect(gone.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await api.ask('operator', '{ image(name: "suse") { id } }')).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });

  it('refuses a plan whose flavor has gone since, naming it', async () => {
    const { result } = await bench.flavors.create(systemAccess(), { name: 'brief', cpu: 1, memoryMib: 512, diskGib: 10 });
    const planned = await mutate('createVirtualMachine', { ...project, name: 'late', flavor: 'brief', image: 'debian', dryRun: true });
    await bench.flavors.delete(systemAccess(), String(result.id));
    await expect(bench.center.commands.applyPlan(annAccess, String(planned.plan?.id))).rejects.toMatchObject({
      code: 'PLAN_STALE',
      data: { fact: 'flavor' },
    });
  });

  it('makes affinity groups, which machines show, and deletes them when they are empty', async () => {
    const create = `mutation { createAffinityGroup(input: { projectId: "${project.projectId}", name: "apart", policy: ANTI_AFFINITY }) {
      affinityGroup { id name policy strength scope } } }`;
    const { createAffinityGroup } = await api.data<{ createAffinityGroup: { affinityGroup: { id: string } } }>('ann', create);
    const { id } = createAffinityGroup.affinityGroup;
    expect(createAffinityGroup.affinityGroup).toEqual({ id, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE', scope: 'HOST' });
    const machine = await bench.running(project, 'apart-one', { affinityGroup: 'apart', power: 'STOPPED' });
    expect(await show(machine)).toMatchObject({ affinityGroup: { id, name: 'apart', policy: 'ANTI_AFFINITY' }, state: 'STOPPED' });
    const groups = await api.data('ann', `{ affinityGroups(projectId: "${project.projectId}") { nodes { id } totalCount } affinityGroup(projectId: "${project.projectId}", name: "apart") { id } }`);
    expect(groups).toEqual({ affinityGroups: { nodes: [{ id }], totalCount: 1 }, affinityGroup: { id } });
    const remove = `mutation { deleteAffinityGroup(input: { id: "${id}" }) { affinityGroupId } }`;
    expect((await api.ask('ann', remove)).errors?.[0]?.extensions.code).toBe('INVALID_STATE');
    await done(await mutate('deleteVirtualMachine', { id: machine }));
    expect(await api.data('ann', remove)).toEqual({ deleteAffinityGroup: { affinityGroupId: id } });
  });
});
