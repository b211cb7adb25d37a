import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCanary } from '#testing';
import type { ApiClient } from '../support/client.js';
import { describeTestDatacenter, type TestDatacenter } from '../support/datacenter.js';
import { startSystem, type System } from '../support/system.js';

const PATIENCE_MS = 150_000;
const ENDED = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'];

interface Machine {
  id: string;
  state: string;
  hostId: string | null;
  cpu: number;
  ports: { id: string; address: string }[];
}

describe('what a team does with machines, on whatever backend', { timeout: PATIENCE_MS + 30_000 }, () => {
  let system: System;
  let datacenter: TestDatacenter;
  let team: ApiClient;
  let tenantId = '';
  let projectId = '';
  let networkId = '';

  beforeAll(async () => {
    system = await startSystem();
    datacenter = await describeTestDatacenter(system);
    const quota = [{ resourceKey: 'vm.count', limit: 4 }];
    const onboarding = { name: 'acme', owners: [{ name: 'ann' }], ownerToken: true, quota, project: { name: 'shop' } };
    const { onboardTenant } = await system.owner.request<{ onboardTenant: { tenant: { id: string }; project: { id: string }; ownerToken: string } }>(
      'mutation ($input: OnboardTenantInput!) { onboardTenant(input: $input) { tenant { id } project { id } ownerToken } }',
      { input: onboarding },
    );
    tenantId = onboardTenant.tenant.id;
    projectId = onboardTenant.project.id;
    team = system.owner.as(onboardTenant.ownerToken);
    networkId = (await done('createNetwork', { projectId, name: 'net', subnet: {} }, 'network')) ?? '';
  });
  afterAll(async () => {
    await datacenter?.close();
    await system?.close();
  });

  /** Asks for a change, and waits until its operation has succeeded. @returns the id of what it is about, where that is asked for */
  async function done(field: string, input: Record<string, unknown>, noun?: string, api = team): Promise<string | undefined> {
    const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
    const mutation = `mutation ($input: ${type}!) { ${field}(input: $input) { operation { id }${noun === undefined ? '' : ` ${noun} { id }`} } }`;
    const answer = (await api.request<Record<string, Record<string, { id: string } | null>>>(mutation, { input }))[field];
    const operation = answer?.['operation'];
    if (operation != null) {
      const query = 'query ($id: ID!) { operation(id: $id) { state error { code message } blocker { code message since } } }';
      // With the reason why it has failed, or does not end.
      const state = async (): Promise<string> => {
        const { operation: now } = await api.request<{ operation: { state: string; error: unknown; blocker: unknown } }>(query, { id: operation.id });
        const reason = ENDED.includes(now.state) ? now.error : now.blocker;
        return reason === null ? now.state : `${now.state} ${JSON.stringify(reason)}`;
      };
      await expect.poll(state, { timeout: PATIENCE_MS, interval: 200 }).toMatch(new RegExp(`^(${ENDED.join('|')})`));
      expect([field, await state()]).toEqual([field, 'SUCCEEDED']);
    }
    return noun === undefined ? undefined : answer?.[noun]?.id;
  }

  const machine = (name: string, more: Record<string, unknown> = {}): Promise<string> =>
    done('createVirtualMachine', { projectId, networkId, name, flavor: 'small', image: 'debian-12', ...more }, 'virtualMachine').then((id) => id ?? '');

  async function look(id: string, api = team): Promise<Machine> {
    const query = 'query ($id: ID!) { virtualMachine(id: $id) { id state hostId cpu ports { id address } } }';
    return (await api.request<{ virtualMachine: Machine }>(query, { id })).virtualMachine;
  }

  async function used(key: string): Promise<number> {
    const { quota } = await team.request<{ quota: { lines: { resourceKey: string; used: number; zoneId: string | null }[] } }>(
      'query ($id: ID!) { quota(scopeId: $id) { lines { resourceKey used zoneId } } }',
      { id: projectId },
    );
    return Number(quota.lines.find((line) => line.resourceKey === key && line.zoneId === null)?.used ?? 0);
  }

  const held = async (): Promise<string[]> =>
    (await datacenter.objects()).filter((object) => object.tenantId === tenantId).map(({ kind, id }) => `${kind} ${id}`);

  it('stops, resizes, starts and restarts one, and deletes it with its disk and port', async () => {
    const id = await machine('web');
    expect(await look(id)).toMatchObject({ state: 'RUNNING', cpu: 1 });
    const [port] = (await look(id)).ports;
    expect(await held()).toEqual(expect.arrayContaining([`MACHINE ${id}`, `PORT ${port?.id}`, `NETWORK ${networkId}`]));
    await done('stopVirtualMachine', { id, force: true });
    expect((await look(id)).state).toBe('STOPPED');
    await done('resizeVirtualMachine', { id, flavor: 'medium' });
    expect((await look(id)).cpu).toBe(2);
    await done('startVirtualMachine', { id });
    await done('restartVirtualMachine', { id });
    const read = 'mutation ($id: ID!) { readVirtualMachineConsole(input: { id: $id, lines: 5 }) { output virtualMachine { id } } }';
    const { readVirtualMachineConsole: shown } = await team.request<{ readVirtualMachineConsole: unknown }>(read, { id });
    expect(shown).toEqual({ output: expect.any(String), virtualMachine: { id } });
    expect(await look(id)).toMatchObject({ state: 'RUNNING', cpu: 2 });
    await done('deleteVirtualMachine', { id });
    expect(await held()).toEqual([`NETWORK ${networkId}`]);
    expect([await used('vm.count'), await used('disk.count'), await used('port.count')]).toEqual([0, 0, 0]);
  });

  it('leaves the user data of one in no table and no log line, whether it is planned, made or refused', async () => {
    const canary = `canary-${randomBytes(12).toString('hex')}`;
    const create = 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { plan { id } } }';
    const input = { projectId, networkId, name: 'sealed', flavor: 'small', image: 'debian-12', userData: `#cloud-config\n# ${canary}\n` };
    const { createVirtualMachine: planned } = await team.request<{ createVirtualMachine: { plan: { id: string } } }>(create, { input: { ...input, dryRun: true } });
    expect(planned.plan.id).toBeTruthy();
    const { flavor: _missing, ...incomplete } = input;
    for (const refused of [incomplete, { ...input, flavor: 'none' }, { ...input, userData: [input.userData] }]) {
      expect(JSON.stringify(await team.post(create, { input: refused }))).not.toContain(canary);
    }
    const id = await machine('sealed', { userData: input.userData });
    expect(await findCanary(canary, { databaseUrls: [system.databaseUrl], log: system.logs() })).toEqual([]);
    await done('deleteVirtualMachine', { id });
  });

  it('keeps two apart that shall be on different hosts', async () => {
    const affinityGroup = await team.request<{ createAffinityGroup: { affinityGroup: { id: string } } }>(
      'mutation ($input: CreateAffinityGroupInput!) { createAffinityGroup(input: $input) { affinityGroup { id } } }',
      { input: { projectId, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE' } },
    );
    const group = { affinityGroup: affinityGroup.createAffinityGroup.affinityGroup.id };
    const ids = await Promise.all(['one', 'other'].map((name) => machine(name, group)));
    const hosts = await Promise.all(ids.map(async (id) => (await look(id, system.owner)).hostId));
    expect(new Set(hosts).size).toBe(2);
    for (const id of ids) await done('deleteVirtualMachine', { id });
  });

  it('makes a disk, lets it grow and deletes it', async () => {
    const id = (await done('createDisk', { projectId, name: 'data', sizeGib: 1 }, 'disk')) ?? '';
    await done('resizeDisk', { id, sizeGib: 2 });
    const { node } = await team.request<{ node: unknown }>('query ($id: ID!) { node(id: $id) { ... on Disk { state sizeGib } } }', { id });
    expect(node).toEqual({ state: 'AVAILABLE', sizeGib: 2 });
    expect(await held()).toContain(`DISK ${id}`);
    await done('deleteDisk', { id });
    expect(await held()).toEqual([`NETWORK ${networkId}`]);
  });

  it('attaches a disk to a machine that runs, and takes it back; when the machine goes it stays', async () => {
    const id = await machine('store');
    const disk = (await done('createDisk', { projectId, name: 'kept', sizeGib: 1, virtualMachineId: id }, 'disk')) ?? '';
    const seen = async (): Promise<unknown> => {
      const query = 'query ($id: ID!) { node(id: $id) { ... on Disk { state isRoot virtualMachine { id disks { id isRoot } } } } }';
      return (await team.request<{ node: unknown }>(query, { id: disk })).node;
    };
    const free = { state: 'AVAILABLE', isRoot: false, virtualMachine: null };
    expect(await seen()).toEqual(free);
    const attached = { state: 'ATTACHED', isRoot: false, virtualMachine: { id, disks: [{ id: expect.any(String), isRoot: true }, { id: disk, isRoot: false }] } };
    await done('attachDisk', { diskId: disk, virtualMachineId: id });
    expect(await seen()).toEqual(attached);
    await done('resizeDisk', { id: disk, sizeGib: 2 });
    await done('detachDisk', { diskId: disk });
    expect(await seen()).toEqual(free);
    await done('attachDisk', { diskId: disk, virtualMachineId: id });
    const { errors } = await team.post('mutation ($id: ID!) { deleteDisk(input: { id: $id }) { operation { id } } }', { id: disk });
    expect(errors.map((error) => error.extensions)).toMatchObject([{ code: 'INVALID_STATE', data: { virtualMachineId: id } }]);
    await done('deleteVirtualMachine', { id });
    expect(await seen()).toEqual(free);
    expect(await held()).toEqual(expect.arrayContaining([`DISK ${disk}`]));
    await done('deleteDisk', { id: disk });
    expect(await held()).toEqual([`NETWORK ${networkId}`]);
    expect(await used('disk.count')).toBe(0);
  });

  it('takes snapshots of a disk, deletes one, and the other goes with the disk', async () => {
    const disk = (await done('createDisk', { projectId, name: 'snapped', sizeGib: 1 }, 'disk')) ?? '';
    const first = await done('createDiskSnapshot', { diskId: disk, name: 'first' }, 'diskSnapshot');
    await done('createDiskSnapshot', { diskId: disk, name: 'second' }, 'diskSnapshot');
    const list = async (): Promise<unknown> =>
      (await team.request<{ diskSnapshots: unknown }>('query ($id: ID!) { diskSnapshots(diskId: $id) { nodes { name state } } }', { id: disk })).diskSnapshots;
    expect(await list()).toEqual({ nodes: [{ name: 'first', state: 'AVAILABLE' }, { name: 'second', state: 'AVAILABLE' }] });
    expect(await used('snapshot.count')).toBe(2);
    await done('deleteDiskSnapshot', { id: first });
    expect(await list()).toEqual({ nodes: [{ name: 'second', state: 'AVAILABLE' }] });
    await done('deleteDisk', { id: disk });
    expect([await list(), await used('snapshot.count')]).toEqual([{ nodes: [] }, 0]);
    expect(await held()).toEqual([`NETWORK ${networkId}`]);
  });

  it('puts a load balancer before a machine, and before nothing', async () => {
    const backend = await machine('behind');
    const [port] = (await look(backend)).ports;
    const id = (await done('createLoadBalancer', { networkId, name: 'front', listeners: [{ port: 80, memberPort: 80 }], members: [port?.id] }, 'loadBalancer')) ?? '';
    const members = async (): Promise<unknown> =>
      (await team.request<{ node: unknown }>('query ($id: ID!) { node(id: $id) { ... on LoadBalancer { state members { address } } } }', { id })).node;
    expect(await members()).toEqual({ state: 'ACTIVE', members: [{ address: port?.address }] });
    await done('updateLoadBalancerMembers', { id, remove: [port?.id] });
    expect(await members()).toEqual({ state: 'ACTIVE', members: [] });
    expect(await held()).toContain(`LOAD_BALANCER ${id}`);
    await done('deleteLoadBalancer', { id });
    await done('deleteVirtualMachine', { id: backend });
    expect(await held()).toEqual([`NETWORK ${networkId}`]);
  });

  it('asks for eight at once with a quota of four: four are given, and all go with the tenant', async () => {
    const create = 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { operation { id } } }';
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_none, index) => team.post(create, { input: { projectId, networkId, name: `worker-${index}`, flavor: 'small', image: 'debian-12' } })),
    );
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(4);
    expect(new Set(answers.flatMap(({ errors }) => errors.map((error) => error.extensions.code)))).toEqual(new Set(['QUOTA_EXCEEDED']));
    await done('offboardTenant', { id: tenantId }, undefined, system.owner);
    expect(await held()).toEqual([]);
  });
});
