import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { findHosts, HostMaintenanceService, hostOperations, HostOccupancy, type HostRow } from '#infrastructure';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { machineOccupants } from '../index.js';

const movesUnderWay = statement<{ code: string | null }>(
  'spec.affinity_moves',
  `SELECT blocker ->> 'code' AS code FROM operation WHERE kind = 'compute.virtual_machine.move' AND ended_at IS NULL`,
);

const access = systemAccess();
const occupancy = new HostOccupancy();
occupancy.register(machineOccupants());

/** Three hosts without a rack, whose machines can be moved. */
describe('affinity groups', () => {
  let bench: ComputeBench;
  let maintenance: HostMaintenanceService;

  beforeAll(async () => {
    bench = await computeBench({ poolGib: 0, sharedGib: 1000, moreKinds: () => hostOperations(occupancy) });
    maintenance = new HostMaintenanceService(bench.center.commands, occupancy);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  async function hostOf(machineId: string): Promise<HostRow> {
    const [host] = await bench.room.database.rows(findHosts, [(await bench.machine(machineId)).host_id]);
    if (host === undefined) throw new Error(`machine ${machineId} is on no host`);
    return host;
  }
  /** The hosts of the next test have no members of other groups, which may stand in each other's way as well. */
  async function remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const { result } = await bench.machines.delete(access, id);
      expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    }
  }
  const ask = (project: BenchProject, name: string, affinityGroup: string) =>
    bench.machines.create(access, { ...project, name, flavor: 'small', image: 'debian', affinityGroup });

  it('takes hosts without a rack for one rack of their zone', async () => {
    const project = await bench.freshProject();
    await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY', scope: 'RACK' });
    await bench.groups.create(access, { projectId: project.projectId, name: 'together', policy: 'AFFINITY', scope: 'RACK' });
    const ids = [await bench.running(project, 'first', { affinityGroup: 'apart' })];
    await expect(ask(project, 'second', 'apart')).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    for (const name of ['left', 'right']) ids.push(await bench.running(project, name, { affinityGroup: 'together' }));
    await remove(ids);
  });

  it('holds a place for a member that is on its way there', async () => {
    const project = await bench.freshProject();
    await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY' });
    const moving = await bench.running(project, 'moving', { affinityGroup: 'apart' });
    const staying = await bench.running(project, 'staying', { affinityGroup: 'apart' });
    const host = await hostOf(moving);
    await bench.center.world.addFault({ kind: 'BUSY', method: 'moveMachine', times: 1000 });
    const { result } = await maintenance.enter(access, { id: host.id });
    await until(async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0));
    await expect(ask(project, 'newcomer', 'apart')).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await maintenance.exit(access, { id: host.id });
    await remove([moving, staying]);
  });

  it('never moves two members of a REQUIRE group to one host, though both must leave theirs at once', async () => {
    const project = await bench.freshProject();
    await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY' });
    const ids = [await bench.running(project, 'one', { affinityGroup: 'apart' }), await bench.running(project, 'other', { affinityGroup: 'apart' })];
    const hosts = await Promise.all(ids.map(hostOf));
    const orders = await Promise.all(hosts.map((host) => maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' })));
    const operations = () => Promise.all(orders.map(({ result }) => bench.center.operation(result.operationId)));
    await until(async () => (await operations()).some(({ state }) => state === 'SUCCEEDED'));
    await until(async () => (await bench.room.database.rows(movesUnderWay)).some(({ code }) => code === 'INSUFFICIENT_CAPACITY'));
    const places = await Promise.all(ids.map(hostOf));
    expect(new Set(places.map((host) => host.id)).size).toBe(2);
    for (const { id, state } of await operations()) if (state === 'WAITING') await bench.center.operations.cancel(id);
    await Promise.all(orders.map(({ result }) => bench.center.ended(result.operationId)));
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await condition()); await pause(20)) {
    if (Date.now() > end) throw new Error('it never came true');
  }
}
