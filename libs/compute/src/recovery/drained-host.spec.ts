import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { HostMaintenanceService, HostOccupancy, hostOperations, type HostRow } from '#infrastructure';
import { auditClaims, findHostClaims } from '#placement';
import { recoveryBench, systemAccess, type RecoveryBench } from '#testing';
import { machineOccupants } from '../index.js';

const MOVE = 'compute.virtual_machine.move';

describe('hosts that die while they are emptied', () => {
  let bench: RecoveryBench;
  let maintenance: HostMaintenanceService;
  const access = systemAccess();

  beforeAll(async () => {
    const occupancy = new HostOccupancy();
    occupancy.register(machineOccupants());
    bench = await recoveryBench({ poolGib: 0, sharedGib: 1000, moreKinds: () => hostOperations(occupancy) });
    maintenance = new HostMaintenanceService(bench.center.commands, occupancy);
  });
  afterEach(async () => {
    await bench.calm();
    expect(await auditClaims(bench.room.database)).toEqual([]);
  });
  afterAll(() => bench.close());

  /** Begins to empty the host, and holds the machine's move at a step of its. */
  async function drain(host: HostRow, step: string, method: string): Promise<string> {
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method, keyContains: `/${step}/`, times: 1000 });
    const { result } = await maintenance.enter(access, { id: host.id });
    await bench.until('the move is held', async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0));
    return String(result.operationId);
  }
  const moveEnds = (machineId: string): Promise<void> =>
    bench.until('the move has ended', async () => (await bench.operationsOf(machineId)).some(({ kind, state }) => kind === MOVE && state === 'FAILED'));
  const moveOf = async (machineId: string) => {
    const found = (await bench.operationsOf(machineId)).find(({ kind }) => kind === MOVE);
    return bench.center.operation(found?.id);
  };
  /** All hosts are there again, with nothing on them. */
  async function tidy(machineId: string, hostId: string, draining: string): Promise<void> {
    await bench.calm();
    await bench.center.ended((await bench.machines.delete(access, machineId)).result.operationId);
    await bench.center.operations.cancel(draining).catch(() => undefined);
    await bench.center.ended(draining);
    const [host] = (await bench.hosts()).filter((each) => each.id === hostId);
    if (host?.intent === 'MAINTENANCE') await maintenance.exit(access, { id: hostId });
  }
  const claimedOn = async (machineId: string): Promise<string[]> =>
    (await bench.room.database.rows(findHostClaims, [machineId])).map((claim) => claim.holder_id);

  it('lose their machines to no move: it ends, and they are made anew', async () => {
    const id = await bench.running(await bench.freshProject(), 'leaving', { recovery: 'RECREATE' });
    const host = await bench.hostOf(id);
    const draining = await drain(host, 'stop', 'stopMachine');
    await bench.setHost(host, SimulatedHostState.DEAD);
    await bench.center.world.clearFaults();
    await moveEnds(id);
    expect(await moveOf(id)).toMatchObject({ error: { code: 'INVALID_STATE' }, not_restored: [{ resourceId: id }] });
    await bench.isNew(id);
    expect((await bench.machine(id)).host_id).not.toBe(host.id);
    expect(await claimedOn(id)).toEqual([(await bench.machine(id)).host_id]);
    await tidy(id, host.id, draining);
  });

  it('do not keep those whose moves have not begun: they are made anew while the host waits', async () => {
    const id = await bench.running(await bench.freshProject(), 'never-left', { recovery: 'RECREATE' });
    const host = await bench.hostOf(id);
    const session = bench.room.database.dataSource.createQueryRunner();
    let draining = '';
    try {
      // No worker takes anything up until the host is dead.
      await session.query(`SELECT pg_advisory_lock(hashtext('muon.operation_claim'))`);
      draining = String((await maintenance.enter(access, { id: host.id })).result.operationId);
      await bench.setHost(host, SimulatedHostState.DEAD);
      await bench.until('nobody knows of the machine', async () => (await bench.machine(id)).observed_power === 'UNKNOWN');
    } finally {
      await session.query(`SELECT pg_advisory_unlock(hashtext('muon.operation_claim'))`);
      await session.release();
    }
    await bench.isNew(id);
    expect((await bench.machine(id)).host_id).not.toBe(host.id);
    expect((await bench.operationsOf(id)).map(({ kind }) => kind)).not.toContain(MOVE);
    expect(await bench.center.ended(draining, 8_000)).toMatchObject({ state: 'SUCCEEDED' });
    await tidy(id, host.id, draining);
  });

  it.each([
    ['has just come there', 'ports', 'ensurePort'],
    ['starts there', 'start', 'startMachine'],
    ['is awaited there', 'confirm', 'getMachine'],
  ])('are not the only ones: the host that a machine goes to may die while it %s', async (_when, step, method) => {
    const id = await bench.running(await bench.freshProject(), `arriving-${step}`, { recovery: 'RECREATE' });
    const host = await bench.hostOf(id);
    const draining = await drain(host, step, method);
    const target = await bench.hostOf(id);
    expect(target.id).not.toBe(host.id);
    await bench.setHost(target, SimulatedHostState.DEAD);
    await bench.center.world.clearFaults();
    await moveEnds(id);
    expect(await moveOf(id)).toMatchObject({ error: { code: 'INVALID_STATE' } });
    await bench.isNew(id);
    expect((await bench.machine(id)).host_id).not.toBe(target.id);
    expect(await claimedOn(id)).toEqual([(await bench.machine(id)).host_id]);
    await tidy(id, host.id, draining);
  });

  it('keep no machine from running on where it has come already, when it cannot go back', async () => {
    const id = await bench.running(await bench.freshProject(), 'stays');
    const host = await bench.hostOf(id);
    const draining = await drain(host, 'start', 'startMachine');
    const target = await bench.hostOf(id);
    await bench.setHost(host, SimulatedHostState.DEAD);
    await bench.center.operations.cancel(draining);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended((await moveOf(id)).id)).toMatchObject({ state: 'CANCELLED', not_restored: [{ resourceId: id }] });
    expect(await bench.machine(id)).toMatchObject({ host_id: target.id });
    expect(await bench.center.world.machine(id)).toMatchObject({ hostName: target.name, power: 'RUNNING' });
    expect(await claimedOn(id)).toEqual([target.id]);
    await tidy(id, host.id, draining);
  });
});
