import { findVirtualMachines, machineOccupants, VirtualMachineService } from '#compute';
import { ChangeSet } from '#database';
import { findHosts } from '#infrastructure';
import { lockResources, operationId, OPERATIONS } from '#operations';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { makeMachine, makeNetwork, startedBy, startMachine } from './material.js';

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
      const id = await makeMachine(stage, networkId as string);
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
    kind: 'compute.virtual_machine.move',
    base: sharedNetwork,
    sharedStorage: true,
    async prepare(stage, networkId) {
      const id = await makeMachine(stage, networkId as string);
      return { submit: () => startMove(stage, id) };
    },
  },
];

/** Moves are only ever started by the maintenance of a host, as its children: here one stands alone. */
async function startMove(stage: Stage, machineId: string): Promise<string> {
  const { bench } = stage;
  const [machine] = await bench.database.rows(findVirtualMachines, [machineId]);
  const [host] = await bench.database.rows(findHosts, [machine?.host_id ?? '']);
  if (host === undefined) throw new Error(`${machineId} has no host`);
  const occupant = (await machineOccupants.list(bench.database, host, 500)).find((each) => each.resourceId === machineId);
  if (occupant === undefined || occupant.blocked !== null) throw new Error(`${machineId} cannot move: ${JSON.stringify(occupant)}`);
  const { kind, resourceKind, resourceId, input, tenantId = null, projectId = null, backendId = null } = await machineOccupants.move(bench.database, host, occupant);
  const id = operationId.create();
  const changes = new ChangeSet().add(OPERATIONS, { id, kind, resourceKind, resourceId, input, tenantId, projectId, backendId });
  lockResources(changes, id, [machineId]);
  await bench.operations.submit(changes);
  return id;
}
