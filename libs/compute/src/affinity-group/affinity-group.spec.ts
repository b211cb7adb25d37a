import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { findHosts, HostMaintenanceService, hostOperations, HostOccupancy, hostState, type HostRow } from '#infrastructure';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { noOwners } from '../host/machine-owners.js';
import { machineOccupants } from '../index.js';

const movesUnderWay = statement<{ code: string | null }>(
  'spec.affinity_moves',
  `SELECT blocker ->> 'code' AS code FROM operation WHERE kind = 'compute.virtual_machine.move' AND ended_at IS NULL`,
);

const waitingForGroups = statement<{ waiting: number }>(
  'spec.affinity_waiting',
  `SELECT count(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM affinity_group%FOR UPDATE%'`,
);

const access = systemAccess();
const occupancy = new HostOccupancy();
occupancy.register(machineOccupants());

/** Three hosts without a rack, whose machines can be moved. */
describe('affinity groups', () => {
  let bench: ComputeBench;
  let maintenance: HostMaintenanceService;
  /** How many members may meet where they cannot be apart. */
  let most = 1;

  beforeAll(async () => {
    bench = await computeBench({ poolGib: 0, sharedGib: 1000, owners: { ...noOwners, mostTogether: async () => most }, moreKinds: () => hostOperations(occupancy) });
    maintenance = new HostMaintenanceService(bench.center.commands, occupancy);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  async function hostOf(machineId: string): Promise<HostRow> {
    const [host] = await bench.room.database.rows(findHosts, [(await bench.machine(machineId)).host_id]);
    if (host === undefined) throw new Error(`machine ${machineId} is on no host`);
    return host;
  }
  const current = async ({ id }: HostRow): Promise<HostRow> => (await bench.room.database.rows(findHosts, [id]))[0] as HostRow;
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
    for (const host of hosts) if (hostState(await current(host)) === 'IN_MAINTENANCE') await maintenance.exit(access, { id: host.id });
    await remove(ids);
  });

  it('lets as many meet as their owner says, and not one more, though all are moved at once', async () => {
    const project = await bench.freshProject();
    const group = await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY' });
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three']) ids.push(await bench.running(project, name, { affinityGroup: 'apart' }));
    most = 2;
    const leaving = await Promise.all(ids.slice(0, 2).map(hostOf));
    const session = bench.room.database.dataSource.createQueryRunner();
    let orders: Awaited<ReturnType<typeof maintenance.enter>>[] = [];
    try {
      // Both have chosen the third host before one of them has it.
      await session.startTransaction();
      await session.query('SELECT id FROM affinity_group WHERE id = $1 FOR UPDATE', [group.result.id]);
      orders = await Promise.all(leaving.map((host) => maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' })));
      await until(async () => (await bench.room.database.first(waitingForGroups))?.waiting === 2);
    } finally {
      await session.rollbackTransaction();
      await session.release();
    }
    const operations = () => Promise.all(orders.map(({ result }) => bench.center.operation(result.operationId)));
    await until(async () => (await operations()).some(({ state }) => state === 'SUCCEEDED'));
    await until(async () => (await bench.room.database.rows(movesUnderWay)).some(({ code }) => code === 'INSUFFICIENT_CAPACITY'));
    const hostIds = (await Promise.all(ids.map(hostOf))).map(({ id }) => id);
    expect([...Map.groupBy(hostIds, (id) => id).values()].map(({ length }) => length).sort((one, other) => one - other)).toEqual([1, 2]);
    for (const { id, state } of await operations()) if (state === 'WAITING') await bench.center.operations.cancel(id);
    await Promise.all(orders.map(({ result }) => bench.center.ended(result.operationId)));
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await condition()); await pause(20)) {
    if (Date.now() > end) throw new Error('it never came true');
  }
}
