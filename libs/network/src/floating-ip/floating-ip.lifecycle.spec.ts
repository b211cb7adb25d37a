import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CommandResult } from '#identity';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';
import { edgeDrift, findPorts, planPortRemoval } from '../index.js';

describe('floating IPs on a simulated datacenter', () => {
  let bench: EdgeBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  it('leads a floating IP to a port, to a load balancer, nowhere, and gives it back', async () => {
    const { projectId, networkId, routerId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    const { address } = (await bench.floatingIp(id)) ?? {};
    expect(await bench.usage(projectId)).toMatchObject({ 'floating_ip.count': 1 });
    expect(await bench.objects()).not.toContain(id);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    expect(await bench.told(id)).toEqual({ routerId, networkId, address, target: { kind: 'PORT', portId: port.portId } });
    const loadBalancerId = await bench.balancerIn(networkId);
    await bench.succeeded(await bench.floating.associate(access, { id, loadBalancerId }));
    expect(await bench.told(id)).toMatchObject({ target: { kind: 'LOAD_BALANCER', loadBalancerId } });
    expect((await bench.floating.associate(access, { id, loadBalancerId })).result.operationId).toBeNull();
    const { version = 0 } = (await bench.floatingIp(id)) ?? {};
    await expect(bench.floating.dissociate(access, { id, expectedVersion: version - 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await bench.succeeded(await bench.floating.dissociate(access, { id, expectedVersion: version }));
    expect(await bench.objects()).not.toContain(id);
    expect(await bench.floatingIp(id)).toMatchObject({ network_id: null, lifecycle: 'PRESENT', address });
    await bench.succeeded(await bench.floating.delete(access, { id }));
    expect(await bench.usage(projectId)).not.toHaveProperty('floating_ip.count');
    expect(await bench.held(projectId)).toEqual([routerId]);
  });

  it('leads where it led before after an association that failed for good', async () => {
    const { projectId, networkId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    const loadBalancerId = await bench.balancerIn(networkId);
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'ensureFloatingIp' });
    const { result } = await bench.floating.associate(access, { id, loadBalancerId });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await bench.floatingIp(id)).toMatchObject({ port_id: port.portId, load_balancer_id: null });
    expect(await bench.told(id)).toMatchObject({ target: { kind: 'PORT' } });
  });

  it('does not lead where the outside is not reached, nor twice to one place', async () => {
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    const port = await bench.makePort(projectId, networkId);
    const [one, two] = [await bench.makeFloating(projectId), await bench.makeFloating(projectId)];
    await expect(bench.floating.associate(access, { id: one, portId: port.portId })).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.portId' });
    await bench.makeRouter(projectId, [networkId]);
    await bench.succeeded(await bench.floating.associate(access, { id: one, portId: port.portId }));
    await expect(bench.floating.associate(access, { id: two, portId: port.portId })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await expect(bench.floating.associate(access, { id: two })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(bench.floating.associate(access, { id: two, portId: 'prt_none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.portId' });
  });

  it('keeps router, network and uplink while a floating IP leads through them', async () => {
    const { projectId, networkId, routerId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    for (const attempt of [
      async () => bench.routers.delete(access, { id: routerId }),
      async () => bench.routers.update(access, { id: routerId, detach: [networkId] }),
      async () => bench.routers.update(access, { id: routerId, externalNetwork: null }),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'INVALID_STATE', data: { floatingIps: [expect.objectContaining({ id })] } });
    }
    const { plan } = await bench.routers.update(access, { id: routerId, detach: [networkId] }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([expect.objectContaining({ code: 'INVALID_STATE' })]);
  });

  it('lets a floating IP lead through a router, or the router go, whoever comes first', async () => {
    for (const letGo of ['detach', 'uplink', 'delete'] as const) {
      const { projectId, networkId, routerId, port } = await bench.routed();
      const id = await bench.makeFloating(projectId);
      const going = async (): Promise<CommandResult> => {
        if (letGo === 'delete') return bench.routers.delete(access, { id: routerId });
        return bench.routers.update(access, letGo === 'detach' ? { id: routerId, detach: [networkId] } : { id: routerId, externalNetwork: null });
      };
      const [led, gone] = await Promise.allSettled([bench.floating.associate(access, { id, portId: port.portId }), going()]);
      expect([led.status, gone.status].filter((status) => status === 'fulfilled'), letGo).toHaveLength(1);
      for (const each of [led, gone]) {
        if (each.status === 'fulfilled') await bench.succeeded(each.value);
        else expect(each.reason).toMatchObject({ code: 'INVALID_STATE' });
      }
    }
  });

  it('goes nowhere again when its port goes, and stays the project’s', async () => {
    const { projectId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    const driver = await bench.center.drivers.driver(bench.center.backendId);
    await driver.network.removePort(bench.call('gone'), port.portId);
    await bench.center.operations.submit(planPortRemoval([port.portId]));
    expect(await bench.room.database.rows(findPorts, [port.portId])).toEqual([]);
    expect(await bench.floatingIp(id)).toMatchObject({ network_id: null, port_id: null, lifecycle: 'PRESENT' });
    expect(await bench.objects()).not.toContain(id);
    expect(await bench.look(edgeDrift(bench.center.drivers, { graceMs: 0 }))).toEqual([]);
  });
});
