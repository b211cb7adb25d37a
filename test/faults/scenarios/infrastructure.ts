import { findVirtualMachines } from '#compute';
import { HostMaintenanceService, installationId, OrphanSweep } from '#infrastructure';
import { writeTombstones } from '#operations';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { contextOn } from '../sweep.js';
import { makeMachine, makeNetwork, startedBy, unique } from './material.js';

export const infrastructureScenarios: readonly Scenario[] = [
  {
    kind: 'infrastructure.host.enter_maintenance',
    sharedStorage: true,
    waitsForPeople: true,
    async prepare(stage) {
      const { bench } = stage;
      const machineId = await makeMachine(stage, await makeNetwork(stage));
      const [machine] = await bench.database.rows(findVirtualMachines, [machineId]);
      const id = machine?.host_id ?? '';
      return { submit: async () => startedBy(await bench.service(HostMaintenanceService).enter(bench.access, { id })).operationId };
    },
  },
  {
    kind: 'infrastructure.orphan.remove',
    mendedLater: true,
    async prepare(stage) {
      const { bench, backendId } = stage;
      const objects = await leaveBehind(stage);
      await bench.database.transaction((transaction) =>
        writeTombstones(transaction, objects.map(({ kind, id }) => ({ backendId, objectKind: kind, objectId: id, reason: 'undone' }))),
      );
      return {
        async submit() {
          const report = await bench.service(OrphanSweep).check(contextOn(stage), backendId);
          if (report.operationId === null) throw new Error(`nothing is swept: ${JSON.stringify(report)}`);
          return report.operationId;
        },
      };
    },
  },
];

/** As late effects leave it: a machine with its disk, port and network, of which no row knows. */
async function leaveBehind({ bench, backendId, tenantId, projectId, hostNames }: Stage): Promise<{ kind: string; id: string }[]> {
  const { compute, network, storage } = await bench.house.drivers.driver(backendId);
  const ownership = { installationId: await installationId(bench.database), tenantId, projectId };
  const name = unique('late');
  const ids = { network: `net-${name}`, port: `prt-${name}`, disk: `dsk-${name}`, machine: `vm-${name}` };
  const hostName = hostNames[0] ?? '';
  const call = () => ({ idempotencyKey: `faults/${unique('leave')}`, timeoutMs: 10_000, signal: new AbortController().signal });
  const card = { portId: ids.port, networkId: ids.network, macAddress: '02:00:00:00:00:01', ipAddress: '10.0.0.5' };
  await network.ensureNetwork(call(), { networkId: ids.network, revision: 1, ownership, subnets: [] });
  await network.ensurePort(call(), { ...card, revision: 1, ownership, subnetId: 'sub', hostName });
  await storage.createDisk(call(), { diskId: ids.disk, ownership, poolName: 'local', hostName, sizeGib: 1, iopsLimit: null, imageReference: null });
  await compute.createMachine(call(), {
    machineId: ids.machine,
    hostname: name,
    ownership,
    hostName,
    imageReference: 'debian-13',
    cpu: 1,
    memoryMib: 512,
    interfaces: [card],
    diskIds: [ids.disk],
    userData: '',
  });
  return Object.entries(ids).map(([kind, id]) => ({ kind, id }));
}
