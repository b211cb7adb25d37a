import { findPortsOfOwners, LoadBalancerService, networkDrift, NetworkService, SubnetService } from '#network';
import type { Stage } from '../bench/lane.js';
import { contextOn } from '../sweep.js';
import type { Scenario } from '../scenario.js';
import { finished, makeMachine, makeNetwork, startedBy, startLoadBalancer, startNetwork, unique, type Made } from './material.js';

/** A network with a machine in it, whose port others may use. */
interface Neighbourhood {
  networkId: string;
  portId: string;
}

const neighbourhood = {
  key: 'neighbourhood',
  async make(stage: Stage): Promise<Neighbourhood> {
    const networkId = await makeNetwork(stage);
    const machineId = await makeMachine(stage, networkId);
    const [port] = await stage.bench.database.rows(findPortsOfOwners, [machineId]);
    return { networkId, portId: port?.id ?? '' };
  },
};

async function startSubnet(stage: Stage, networkId: string): Promise<Made> {
  const { bench } = stage;
  return startedBy(await bench.service(SubnetService).create(bench.access, { networkId, name: unique('subnet') }));
}

/** As after a restore of the backend from an old backup: it knows nothing of the network. */
async function forgetNetwork(stage: Stage, parts: Neighbourhood & { loadBalancerId: string }): Promise<void> {
  const { network } = await stage.bench.house.drivers.driver(stage.backendId);
  const call = { idempotencyKey: `faults/${unique('forget')}`, timeoutMs: 10_000, signal: new AbortController().signal };
  await network.removeLoadBalancer(call, parts.loadBalancerId);
  await network.removePort(call, parts.portId);
  await network.removeNetwork(call, parts.networkId);
}

export const networkScenarios: readonly Scenario[] = [
  {
    kind: 'network.network.create',
    prepare: async (stage) => ({ submit: async () => (await startNetwork(stage)).operationId }),
  },
  {
    kind: 'network.network.delete',
    async prepare(stage) {
      const { bench } = stage;
      const id = await makeNetwork(stage);
      return { submit: async () => startedBy(await bench.service(NetworkService).delete(bench.access, { id })).operationId };
    },
  },
  {
    kind: 'network.network.repair',
    mendedLater: true,
    async prepare(stage) {
      const { bench } = stage;
      const around = await neighbourhood.make(stage);
      const loadBalancerId = await finished(stage, await startLoadBalancer(stage, around.networkId, [around.portId]));
      await forgetNetwork(stage, { ...around, loadBalancerId });
      const reconciler = networkDrift(bench.house.drivers, { graceMs: 0 });
      return {
        async submit() {
          const context = contextOn(stage);
          await reconciler.run(context);
          const [id] = context.started;
          if (id === undefined) throw new Error('nothing was found to repair');
          return id;
        },
      };
    },
  },
  {
    kind: 'network.subnet.create',
    async prepare(stage) {
      const networkId = await makeNetwork(stage);
      return { submit: async () => (await startSubnet(stage, networkId)).operationId };
    },
  },
  {
    kind: 'network.subnet.delete',
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startSubnet(stage, await makeNetwork(stage)));
      return { submit: async () => startedBy(await bench.service(SubnetService).delete(bench.access, id)).operationId };
    },
  },
  {
    kind: 'network.load_balancer.create',
    base: neighbourhood,
    async prepare(stage, base) {
      const { networkId, portId } = base as Neighbourhood;
      return { submit: async () => (await startLoadBalancer(stage, networkId, [portId])).operationId };
    },
  },
  {
    kind: 'network.load_balancer.update',
    base: neighbourhood,
    removable: true,
    async prepare(stage, base) {
      const { bench } = stage;
      const { networkId, portId } = base as Neighbourhood;
      const id = await finished(stage, await startLoadBalancer(stage, networkId));
      return {
        submit: async () => startedBy(await bench.service(LoadBalancerService).updateMembers(bench.access, { id, add: [portId] })).operationId,
        remove: async () => startedBy(await bench.service(LoadBalancerService).delete(bench.access, id)).operationId,
      };
    },
  },
  {
    kind: 'network.load_balancer.delete',
    base: neighbourhood,
    async prepare(stage, base) {
      const { bench } = stage;
      const { networkId, portId } = base as Neighbourhood;
      const id = await finished(stage, await startLoadBalancer(stage, networkId, [portId]));
      return { submit: async () => startedBy(await bench.service(LoadBalancerService).delete(bench.access, id)).operationId };
    },
  },
];
