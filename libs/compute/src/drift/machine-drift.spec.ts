import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import type { DriverCall } from '#drivers';
import { OPERATIONS, type NextRun, type ReconcilerContext } from '#operations';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { machineDrift, machineState } from '../index.js';

const HOUR_MS = 3_600_000;

describe('machines that Muon itself has only just changed', () => {
  let bench: ComputeBench;
  let project: BenchProject;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await computeBench();
    project = await bench.freshProject();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  /** One look, for which everything has only just been changed. */
  async function look(): Promise<NextRun | void> {
    const context: ReconcilerContext = {
      signal: AbortSignal.timeout(10_000),
      fence: 1,
      reader: bench.room.database,
      log: bench.room.log,
      submit: (changes) => {
        for (const item of changes.items(OPERATIONS)) if ('id' in item) item.origin = 'RECONCILER';
        return bench.center.operations.submit(changes);
      },
    };
    return machineDrift(bench.room.database, bench.center.drivers, { graceMs: HOUR_MS }).run(context);
  }
  const call = (): DriverCall => ({ idempotencyKey: crypto.randomUUID(), timeoutMs: 5000, signal: AbortSignal.timeout(5000) });
  const stop = async (id: string): Promise<void> => {
    const { result } = await bench.machines.power(access, id, 'STOP');
    expect((await bench.center.ended(result.operationId)).state).toBe('SUCCEEDED');
  };

  it('and that somebody else then deletes are missed by the next look', async () => {
    const id = await bench.running(project, 'deleted');
    const { compute } = await bench.center.drivers.driver(bench.center.backendId);
    await compute.stopMachine(call(), id, true);
    await compute.deleteMachine(call(), id);
    await look();
    expect(await bench.machine(id)).toMatchObject({ observed_power: 'UNKNOWN', drift: { code: 'MACHINE_MISSING' } });
  });

  it('are as the backend says of each, where a listing shows what was before', async () => {
    const id = await bench.running(project, 'stopped');
    await bench.center.world.addFault({ kind: FaultKind.STALE_LISTING, method: 'listMachines', delayMs: HOUR_MS });
    await stop(id);
    const made = await bench.running(project, 'made');
    await look();
    expect(machineState(await bench.machine(id))).toBe('STOPPED');
    expect(await bench.machine(id)).toMatchObject({ drift: null });
    expect(await bench.machine(made)).toMatchObject({ observed_power: 'RUNNING', drift: null });
  });

  it('are started once when the guest turns itself off, and not again at once', async () => {
    const id = await bench.running(project, 'restless');
    const { compute } = await bench.center.drivers.driver(bench.center.backendId);
    await compute.stopMachine(call(), id, true);
    await look();
    await expect.poll(async () => (await bench.center.world.machine(id))?.bootCount).toBe(2);
    await expect.poll(async () => bench.left(project.projectId)).not.toContain('lock');
    await compute.stopMachine(call(), id, true);
    await look();
    await look();
    expect((await bench.center.world.machine(id))?.bootCount).toBe(2);
    expect(await bench.machine(id)).toMatchObject({ desired_power: 'RUNNING', observed_power: 'STOPPED' });
  });

  it('are looked at again soon while the backend knows nothing of them yet, though their host has returned', async () => {
    const id = await bench.running(project, 'returning');
    const hostName = (await bench.center.world.machine(id))?.hostName ?? '';
    // Its beats are heard, and the backend's own cluster does not have it back.
    await bench.center.world.setHost(hostName, SimulatedHostState.PARTITIONED);
    expect(await look()).toEqual({ afterMs: expect.any(Number) });
    expect(await bench.machine(id)).toMatchObject({ observed_power: 'UNKNOWN' });
    await bench.center.world.setHost(hostName, SimulatedHostState.ALIVE);
    expect(await look()).toBeUndefined();
    expect(await bench.machine(id)).toMatchObject({ observed_power: 'RUNNING' });
  });
});
