import { setTimeout as pause } from 'node:timers/promises';
import { DiskAttachmentService, findVirtualMachines, machineOccupants, planRecreation, VirtualMachineService } from '#compute';
import { ChangeSet } from '#database';
import { SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, HostState, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { lockResources, operationId, OPERATIONS } from '#operations';
import { idIn } from '../bench/ids.js';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { contextOn } from '../sweep.js';
import { finished, makeMachine, makeNetwork, makePair, startedBy, startMachine } from './material.js';

/** A network for machines to be made in. */
const network = { key: 'network', make: makeNetwork };
const sharedNetwork = { key: 'network-shared', make: makeNetwork };

export const computeScenarios: readonly Scenario[] = [
  {
    kind: 'compute.virtual_machine.create',
    base: network,
    prepare: async (stage, networkId) => ({ submit: async () => (await startMachine(stage, networkId as string)).operationId }),
  },
  {
    kind: 'compute.virtual_machine.delete',
    base: network,
    async prepare(stage, networkId) {
      const { bench } = stage;
      const { virtualMachineId: id, diskId } = await makePair(stage, networkId as string);
      await finished(stage, startedBy(await bench.service(DiskAttachmentService).attach(bench.access, { diskId, virtualMachineId: id })));
      return { submit: async () => startedBy(await bench.service(VirtualMachineService).delete(bench.access, id)).operationId };
    },
  },
  {
    kind: 'compute.virtual_machine.power',
    base: network,
    async prepare(stage, networkId) {
      const { bench } = stage;
      const id = await makeMachine(stage, networkId as string);
      return { submit: async () => startedBy(await bench.service(VirtualMachineService).power(bench.access, id, 'STOP')).operationId };
    },
  },
  {
    kind: 'compute.virtual_machine.resize',
    base: network,
    async prepare(stage, networkId) {
      const { bench, flavors } = stage;
      const id = await makeMachine(stage, networkId as string, { power: 'STOPPED' });
      return { submit: async () => startedBy(await bench.service(VirtualMachineService).resize(bench.access, id, flavors.large)).operationId };
    },
  },
  {
    kind: 'compute.disk.attach',
    base: network,
    async prepare(stage, networkId) {
      const { virtualMachineId, diskId } = await makePair(stage, networkId as string);
      return { submit: async () => startedBy(await stage.bench.service(DiskAttachmentService).attach(stage.bench.access, { diskId, virtualMachineId })).operationId };
    },
  },
  {
    kind: 'compute.disk.detach',
    base: network,
    async prepare(stage, networkId) {
      const { virtualMachineId, diskId } = await makePair(stage, networkId as string);
      const attachments = stage.bench.service(DiskAttachmentService);
      await finished(stage, startedBy(await attachments.attach(stage.bench.access, { diskId, virtualMachineId })));
      return { submit: async () => startedBy(await attachments.detach(stage.bench.access, { diskId })).operationId };
    },
  },
  {
    kind: 'compute.virtual_machine.move',
    base: sharedNetwork,
    sharedStorage: true,
    async prepare(stage, networkId) {
      const id = await makeMachine(stage, networkId as string);
      return { submit: () => startMove(stage, id) };
    },
  },
  {
    kind: 'compute.virtual_machine.recreate',
    async prepare(stage) {
      const { bench } = stage;
      const id = await makeMachine(stage, await makeNetwork(stage), { recovery: 'RECREATE' });
      const [machine] = await bench.database.rows(findVirtualMachines, [id]);
      const [host] = await bench.database.rows(findHosts, [machine?.host_id ?? '']);
      if (host === undefined) throw new Error(`${id} has no host`);
      await lose(stage, host);
      return {
        async submit() {
          const changes = await planRecreation(bench.database, id);
          await contextOn(stage).submit(changes);
          return idIn(changes.result, 'operationId');
        },
        returns: () => bringBack(stage, host),
      };
    },
  },
];

const beats = { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 };

/** Its host dies, and is proven to be off. */
async function setHost({ world }: Stage, host: HostRow, state: SimulatedHostState): Promise<void> {
  if (world.setHost === undefined) throw new Error('hosts do not fail here');
  await world.setHost(host.name, state);
}

async function lose(stage: Stage, host: HostRow): Promise<void> {
  await setHost(stage, host, SimulatedHostState.DEAD);
  await beatUntil(stage, host, HostState.FENCED);
}

async function bringBack(stage: Stage, host: HostRow): Promise<void> {
  await setHost(stage, host, SimulatedHostState.ALIVE);
  await beatUntil(stage, host, HostState.ACTIVE);
}

async function beatUntil({ bench, backendId }: Stage, { id, name }: HostRow, state: HostState): Promise<void> {
  const heartbeat = new Heartbeat(bench.database, bench.house.drivers, new HostStateNews(bench.log), bench.log, beats);
  for (const end = Date.now() + 10_000; ; await pause(5)) {
    await heartbeat.lookAt(backendId, AbortSignal.timeout(5000));
    const [host] = await bench.database.rows(findHosts, [id]);
    if (host !== undefined && hostState(host) === state) return;
    if (Date.now() > end) throw new Error(`${name} is not ${state}`);
  }
}

/** Moves are only ever started by the maintenance of a host, as its children: here one stands alone. */
async function startMove(stage: Stage, machineId: string): Promise<string> {
  const { bench } = stage;
  const [machine] = await bench.database.rows(findVirtualMachines, [machineId]);
  const [host] = await bench.database.rows(findHosts, [machine?.host_id ?? '']);
  if (host === undefined) throw new Error(`${machineId} has no host`);
  const occupant = (await machineOccupants().list(bench.database, host, 500)).find((each) => each.resourceId === machineId);
  if (occupant === undefined || occupant.blocked !== null) throw new Error(`${machineId} cannot move: ${JSON.stringify(occupant)}`);
  const { kind, resourceKind, resourceId, input, tenantId = null, projectId = null, backendId = null } = await machineOccupants().move(bench.database, host, occupant);
  const id = operationId.create();
  const changes = new ChangeSet().add(OPERATIONS, { id, kind, resourceKind, resourceId, input, tenantId, projectId, backendId });
  lockResources(changes, id, [machineId]);
  await bench.operations.submit(changes);
  return id;
}
