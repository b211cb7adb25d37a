import { DiskAttachmentService, VirtualMachineService } from '#compute';
import { MuonError } from '#core';
import { edgeDrift, ExternalNetworkService, findPortsOfOwners, FloatingIpService, ProviderRouterService, RouterService } from '#network';
import { idIn } from '../bench/ids.js';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { contextOn } from '../sweep.js';
import { finished, makeMachine, makeNetwork, makePair, startedBy, startLoadBalancer, unique, type Made } from './material.js';

export async function startExternalNetwork(stage: Stage): Promise<Made> {
  const { bench, backendId } = stage;
  const { outside = { physicalNetwork: unique('physnet') } } = stage;
  const input = { name: unique('outside'), backendId, ...outside, cidr: '198.51.100.0/24', gateway: '198.51.100.1' };
  return startedBy(await bench.service(ExternalNetworkService).create(bench.access, input));
}

async function startProviderRouter(stage: Stage, externalNetwork: string): Promise<Made> {
  const { bench } = stage;
  return startedBy(await bench.service(ProviderRouterService).create(bench.access, { name: unique('provider'), externalNetwork }));
}

async function startRouter(stage: Stage, networkIds: readonly string[], uplink: { externalNetwork: string } | { providerRouter: string }): Promise<Made> {
  const { bench, projectId } = stage;
  const input = { projectId, name: unique('router'), networkIds: [...networkIds], ...uplink };
  return startedBy(await bench.service(RouterService).create(bench.access, input));
}

/** A machine's port and a load balancer in a network that reaches the outside. */
interface Reached {
  externalNetworkId: string;
  networkId: string;
  routerId: string;
  portId: string;
  loadBalancerId: string;
}

async function reached(stage: Stage, { isBehind = false } = {}): Promise<Reached> {
  const externalNetworkId = await finished(stage, await startExternalNetwork(stage));
  const networkId = await makeNetwork(stage);
  const machineId = await makeMachine(stage, networkId);
  const [port] = await stage.bench.database.rows(findPortsOfOwners, [machineId]);
  const loadBalancerId = await finished(stage, await startLoadBalancer(stage, networkId));
  const uplink = isBehind ? { providerRouter: await finished(stage, await startProviderRouter(stage, externalNetworkId)) } : { externalNetwork: externalNetworkId };
  const routerId = await finished(stage, await startRouter(stage, [networkId], uplink));
  return { externalNetworkId, networkId, routerId, portId: port?.id ?? '', loadBalancerId };
}

async function makeFloatingIp(stage: Stage, { externalNetworkId: externalNetwork, portId }: Pick<Reached, 'externalNetworkId' | 'portId'>, isLed: boolean): Promise<string> {
  const { bench, projectId } = stage;
  const service = bench.service(FloatingIpService);
  const { result } = await service.create(bench.access, { projectId, name: unique('fip'), externalNetwork });
  const id = idIn(result);
  if (isLed) await finished(stage, startedBy(await service.associate(bench.access, { id, portId })));
  return id;
}

export const edgeScenarios: readonly Scenario[] = [
  {
    kind: 'network.external_network.create',
    prepare: async (stage) => ({ submit: async () => (await startExternalNetwork(stage)).operationId }),
  },
  {
    kind: 'network.external_network.delete',
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startExternalNetwork(stage));
      return { submit: async () => startedBy(await bench.service(ExternalNetworkService).delete(bench.access, { id })).operationId };
    },
  },
  {
    kind: 'network.provider_router.create',
    async prepare(stage) {
      const outside = await finished(stage, await startExternalNetwork(stage));
      return { submit: async () => (await startProviderRouter(stage, outside)).operationId };
    },
  },
  {
    kind: 'network.provider_router.delete',
    async prepare(stage) {
      const { bench } = stage;
      const outside = await finished(stage, await startExternalNetwork(stage));
      const id = await finished(stage, await startProviderRouter(stage, outside));
      return { submit: async () => startedBy(await bench.service(ProviderRouterService).delete(bench.access, { id })).operationId };
    },
  },
  {
    kind: 'network.router.create',
    async prepare(stage) {
      const outside = await finished(stage, await startExternalNetwork(stage));
      const networkId = await makeNetwork(stage);
      return { submit: async () => (await startRouter(stage, [networkId], { externalNetwork: outside })).operationId };
    },
  },
  {
    kind: 'network.router.update',
    removable: true,
    async prepare(stage) {
      const { bench } = stage;
      const outside = await finished(stage, await startExternalNetwork(stage));
      const [one, two] = [await makeNetwork(stage), await makeNetwork(stage)];
      const providerRouter = await finished(stage, await startProviderRouter(stage, outside));
      const id = await finished(stage, await startRouter(stage, [one], { externalNetwork: outside }));
      const input = { id, attach: [two], detach: [one], providerRouter };
      const service = bench.service(RouterService);
      return {
        submit: async () => startedBy(await service.update(bench.access, input)).operationId,
        remove: async () => startedBy(await service.delete(bench.access, { id })).operationId,
      };
    },
  },
  {
    kind: 'network.router.delete',
    async prepare(stage) {
      const { bench } = stage;
      const { routerId: id } = await reached(stage, { isBehind: true });
      return { submit: async () => startedBy(await bench.service(RouterService).delete(bench.access, { id })).operationId };
    },
  },
  {
    kind: 'network.router.repair',
    mendedLater: true,
    async prepare(stage) {
      const { bench } = stage;
      const { routerId } = await reached(stage);
      const { network } = await bench.house.drivers.driver(stage.backendId);
      const call = { idempotencyKey: `faults/${unique('forget')}`, timeoutMs: 10_000, signal: new AbortController().signal };
      // As after a restore of the backend from an old backup.
      await network.removeRouter(call, routerId);
      const reconciler = edgeDrift(bench.house.database, bench.house.drivers, { graceMs: 0 });
      return {
        async submit() {
          const context = contextOn(stage);
          await reconciler.run({
            ...context,
            // Of what earlier runs have left on the lane some may be led by other hosts now: that would meet the fault first.
            async submit(changes) {
              if (changes.result['id'] !== routerId) throw new MuonError('RESOURCE_BUSY', 'This run is about one router.');
              return context.submit(changes);
            },
          });
          const [id] = context.started;
          if (id === undefined) throw new Error('nothing was found to repair');
          return id;
        },
      };
    },
  },
  {
    kind: 'network.floating_ip.associate',
    removable: true,
    async prepare(stage) {
      const { bench } = stage;
      const around = await reached(stage, { isBehind: true });
      const id = await makeFloatingIp(stage, around, true);
      const input = { id, loadBalancerId: around.loadBalancerId };
      const service = bench.service(FloatingIpService);
      return {
        submit: async () => startedBy(await service.associate(bench.access, input)).operationId,
        remove: async () => startedBy(await service.delete(bench.access, { id })).operationId,
      };
    },
  },
  {
    kind: 'network.floating_ip.dissociate',
    removable: true,
    async prepare(stage) {
      const { bench } = stage;
      const id = await makeFloatingIp(stage, await reached(stage, { isBehind: true }), true);
      const service = bench.service(FloatingIpService);
      return {
        submit: async () => startedBy(await service.dissociate(bench.access, { id })).operationId,
        remove: async () => startedBy(await service.delete(bench.access, { id })).operationId,
      };
    },
  },
  {
    kind: 'network.floating_ip.delete',
    async prepare(stage) {
      const { bench } = stage;
      const id = await makeFloatingIp(stage, await reached(stage), true);
      return { submit: async () => startedBy(await bench.service(FloatingIpService).delete(bench.access, { id })).operationId };
    },
  },
];

/** A network that reaches the outside. */
async function makeOutside(stage: Stage): Promise<Pick<Reached, 'externalNetworkId' | 'networkId'>> {
  const externalNetworkId = await finished(stage, await startExternalNetwork(stage));
  const networkId = await makeNetwork(stage);
  await finished(stage, await startRouter(stage, [networkId], { externalNetwork: externalNetworkId }));
  return { externalNetworkId, networkId };
}

/** As the deletion among the scenarios of machines, of one that a floating IP leads to: its translation goes with it. */
export const reachedMachineDeletion: Scenario = {
  kind: 'compute.virtual_machine.delete',
  base: { key: 'outside', make: makeOutside },
  async prepare(stage, base) {
    const { bench, world } = stage;
    const outside = base as Awaited<ReturnType<typeof makeOutside>>;
    const { virtualMachineId: id, diskId } = await makePair(stage, outside.networkId);
    await finished(stage, startedBy(await bench.service(DiskAttachmentService).attach(bench.access, { diskId, virtualMachineId: id })));
    const [port] = await bench.database.rows(findPortsOfOwners, [id]);
    const floatingIpId = await makeFloatingIp(stage, { ...outside, portId: port?.id ?? '' }, true);
    const isThere = async (): Promise<boolean> => (await world.objects()).some((object) => object.kind === 'FLOATING_IP' && object.id === floatingIpId);
    if (!(await isThere())) throw new Error('the floating IP has no translation before its machine is deleted');
    return {
      submit: async () => startedBy(await bench.service(VirtualMachineService).delete(bench.access, id)).operationId,
      check: async (state) => ((await isThere()) === (state === 'CANCELLED') ? [] : [`ended ${state}, and the translation of its floating IP does not agree`]),
    };
  },
};
