import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandResult } from '#identity';
import { installationId } from '#infrastructure';
import { OperationEngine, OperationRegistry, silentBell } from '#operations';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';
import { edgeDrift, networkDrift } from './index.js';

/** What a backend is told of, and the change that is called off before a worker has begun with it. */
interface Case {
  partId: string;
  /** Of no tenant: the firewall. */
  isCommon?: boolean;
  /** Gets a machine meanwhile, whose operation tells of the network. */
  network?: { projectId: string; networkId: string };
  change: () => Promise<CommandResult>;
}

describe('changes that are called off before they have begun, after others have told of them', () => {
  let bench: EdgeBench;
  let worker: OperationEngine;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
    await bench.center.engine.drain(2000);
    worker = start(() => true);
  });
  afterAll(async () => {
    await worker.drain(2000);
    await bench.close();
  });

  /** A worker that does only some kinds of work. */
  function start(serves: (kind: string) => boolean): OperationEngine {
    const registry = new OperationRegistry().register(...bench.center.registry.kinds.filter(({ kind }) => serves(kind)));
    const { database, applier, log } = bench.room;
    const engine = new OperationEngine({ database, registry, applier, bell: silentBell, log, sweepEveryMs: 20, retry: { baseMs: 20, maxMs: 200 }, callTimeoutMs: 1000 });
    engine.start();
    return engine;
  }

  async function become(serves: (kind: string) => boolean): Promise<void> {
    await worker.drain(2000);
    worker = start(serves);
  }

  async function reconcile(): Promise<void> {
    const started = await bench.look(networkDrift(bench.center.drivers, { graceMs: 0 }));
    started.push(...(await bench.look(edgeDrift(bench.center.drivers, { graceMs: 0 }))));
    for (const id of started) expect(await bench.center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
  }

  async function machineArrives(networkId: string, projectId: string): Promise<void> {
    const machine = await bench.startMachine(projectId, networkId);
    expect(await bench.center.ended(machine.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  }

  const told = async ({ partId, isCommon }: Case): Promise<unknown> =>
    (await bench.center.world.networkParts(isCommon === true ? '' : bench.tenant.id)).find((part) => part.id === partId)?.specification;
  const firewall = async (): Promise<Pick<Case, 'partId' | 'isCommon'>> => ({ partId: await installationId(bench.room.database), isCommon: true });
  const RULE = { action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: { from: 22 } } as const;

  const cases: Record<string, () => Promise<Case>> = {
    'a subnet that is deleted': async () => {
      const { projectId, networkId } = await bench.routed();
      const subnetId = await bench.succeeded(await bench.subnets.create(access, { networkId, name: 'more' }));
      return { partId: networkId, network: { projectId, networkId }, change: () => bench.subnets.delete(access, subnetId) };
    },
    'a subnet that is made': async () => {
      const { projectId, networkId } = await bench.routed();
      return { partId: networkId, network: { projectId, networkId }, change: () => bench.subnets.create(access, { networkId, name: 'more' }) };
    },
    'a firewall policy that is deleted': async () => {
      const { projectId } = await bench.routed();
      const made = await bench.policies.create(access, { name: bench.unique('policy'), scopeId: projectId, position: 10, rules: [RULE] });
      const id = await bench.succeeded(made);
      return { ...(await firewall()), change: () => bench.policies.delete(access, id) };
    },
    'a firewall policy that is changed': async () => {
      const { projectId } = await bench.routed();
      const made = await bench.policies.create(access, { name: bench.unique('policy'), scopeId: projectId, position: 11, rules: [RULE] });
      const id = await bench.succeeded(made);
      return { ...(await firewall()), change: () => bench.policies.update(access, { id, rules: [] }) };
    },
    'a port that joins a group': async () => {
      const { projectId, port } = await bench.routed();
      const id = String((await bench.groups.create(access, { projectId, name: bench.unique('group') })).result.id);
      await bench.succeeded(await bench.groups.updatePort(access, { portId: port.portId, add: [id] }));
      await bench.succeeded(await bench.groups.updatePort(access, { portId: port.portId, remove: [id] }));
      return { partId: port.portId, change: () => bench.groups.updatePort(access, { portId: port.portId, add: [id] }) };
    },
    'a load balancer that gets a member': async () => {
      const { networkId, port } = await bench.routed();
      const id = await bench.balancerIn(networkId);
      return { partId: id, change: () => bench.balancers.updateMembers(access, { id, add: [port.portId] }) };
    },
  };

  it.each(Object.entries(cases))('%s is at once as it was', async (_what, prepare) => {
    const subject = await prepare();
    await reconcile();
    const before = await told(subject);
    await become((kind) => kind.endsWith('.repair') || kind === 'testing.machine.create');
    const { result } = await subject.change();
    if (subject.network !== undefined) await machineArrives(subject.network.networkId, subject.network.projectId);
    await reconcile();
    expect(await told(subject)).not.toEqual(before);
    expect(await bench.center.operation(result.operationId)).toMatchObject({ state: 'QUEUED' });
    await bench.center.operations.cancel(String(result.operationId));
    await become(() => true);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await told(subject)).toEqual(before);
  });
});
