import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { networkBench, systemAccess, type NetworkBench } from '#testing';
import { findLoadBalancers, findMembers } from '../index.js';

describe('load balancers on a simulated datacenter', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let balancers: NetworkBench['balancers'];
  const access = systemAccess();

  beforeAll(async () => {
    bench = await networkBench();
    ({ room, center, balancers } = bench);
  });
  afterEach(() => center.world.clearFaults());
  afterAll(() => bench.close());

  const fired = async (): Promise<number[]> => (await center.world.faults()).map((fault) => fault.fired);
  const makeNetwork = async (projectId: string): Promise<string> => bench.succeeded(await bench.networks.create(access, { projectId, name: 'net', subnet: {} }));

  it('keeps one load balancer through members that come, go and fail to come', async () => {
    const projectId = bench.freshProject();
    const networkId = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, networkId, { amount: 3 });
    await center.ended(machine.operationId);
    const [one, two, three] = machine.ports.map((port) => port.portId) as [string, string, string];
    const input = { networkId, name: 'front', listeners: [{ port: 443, memberPort: 6443 }], members: [one] };
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
    expect(await bench.usage(projectId)).toEqual({ 'load_balancer.count': 1, 'network.count': 1, 'port.count': 3 });
    const gone = await balancers.delete(access, id);
    expect((await center.ended(gone.result.operationId)).state).toBe('SUCCEEDED');
    expect(await bench.objects()).not.toContain(id);
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 3 });
  });

  it('a load balancer is made and changed once the hosts have it', async () => {
    const projectId = bench.freshProject();
    const networkId = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, networkId);
    await center.ended(machine.operationId);
    await center.world.addFault({ kind: 'BUSY', method: 'realised' });
    const { result } = await balancers.create(access, { networkId, name: 'front', listeners: [{ port: 80, memberPort: 80 }] });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await fired()).toEqual([1]);
    await center.world.addFault({ kind: 'BUSY', method: 'realised' });
    const change = await balancers.updateMembers(access, { id: String(result.id), add: machine.ports.map((port) => port.portId) });
    expect((await center.ended(change.result.operationId)).state).toBe('SUCCEEDED');
    expect(await fired()).toEqual([1, 1]);
  });

  it('gives back the address of a load balancer that was not made, and takes another when tried again', async () => {
    const projectId = bench.freshProject();
    const networkId = await makeNetwork(projectId);
    const machine = await bench.startMachine(projectId, networkId);
    await center.ended(machine.operationId);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureLoadBalancer' });
    const input = { networkId, name: 'front', listeners: [{ port: 80, memberPort: 80 }] };
    const { result } = await balancers.create(access, input);
    expect((await center.ended(result.operationId)).state).toBe('FAILED');
    const find = async () => (await room.database.rows(findLoadBalancers, [String(result.id)]))[0];
    expect(await find()).toMatchObject({ lifecycle: 'FAILED', address: null, failure: { code: 'BACKEND_FAILED' } });
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1, 'port.count': 1 });
    await center.operations.retry(String(result.operationId));
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await find()).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect((await find())?.address).toMatch(/^10\./);
    expect(await bench.usage(projectId)).toEqual({ 'load_balancer.count': 1, 'network.count': 1, 'port.count': 1 });
  });
});
