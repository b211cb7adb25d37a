import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TenantService } from '#tenancy';
import { CrashAt } from '../faults/bench/control.js';
import { FaultHouse } from '../faults/bench/fault-house.js';
import { LabGround } from '../faults/bench/lab-ground.js';
import { Play, type Played } from '../faults/play.js';
import type { FaultPoint } from '../faults/points.js';
import { failuresOf, Report } from '../faults/report.js';
import { computeScenarios } from '../faults/scenarios/compute.js';
import { reachedMachineDeletion } from '../faults/scenarios/edge.js';
import { finished, startedBy } from '../faults/scenarios/material.js';

/** Machines are made and deleted on real hosts and a real network while everything goes wrong that can. */

/** Installations of their own, which share the lab: each puts one operation to the test at a time. */
const HOUSES = 3;
const scenarios = [...computeScenarios.filter(({ kind }) => kind === 'compute.virtual_machine.create'), reachedMachineDeletion];

/**
 * Left out is a worker that dies of a step that had to wait: whether a real backend lets a step wait is a matter of its
 * speed, and differs from run to run. And one that dies before a step has begun: a backend cannot tell it from one that
 * dies when the step before is written.
 */
const isChosen = ({ crash }: FaultPoint): boolean => crash?.outcome !== 'WAIT' && crash?.at !== CrashAt.BEFORE;

describe('faults on the lab', () => {
  const houses: FaultHouse[] = [];
  const report = new Report();

  beforeAll(async () => {
    for (let number = 1; number <= HOUSES; number += 1) houses.push(await FaultHouse.open({ lanes: 1, ground: await LabGround.open() }));
  }, 120_000);
  afterAll(async () => {
    report.print('faults on the lab');
    for (const house of houses) await house.close();
  });

  it.each(scenarios.map((scenario) => ({ kind: scenario.kind, scenario })))('$kind', { timeout: 1_800_000 }, async ({ kind, scenario }) => {
    const start = performance.now();
    const plays = houses.map((house) => new Play(house, scenario));
    const points = ((await plays[0]?.points()) ?? []).filter(isChosen);
    const left = [...points];
    const played: Played[] = [];
    await Promise.all(
      plays.map(async (play) => {
        for (let point = left.shift(); point !== undefined; point = left.shift()) played.push(await play.run(point));
      }),
    );
    report.add({ kind, points, ms: performance.now() - start });
    expect(points.length).toBeGreaterThan(15);
    expect(failuresOf(played)).toEqual([]);
  });

  it('leaves nothing when its tenants have left', { timeout: 600_000 }, async () => {
    await Promise.all(houses.map(offboardAll));
    for (const house of houses) expect(await house.onLane((lane) => lane.leftovers())).toEqual([]);
  });

  async function offboardAll(house: FaultHouse): Promise<void> {
    const tenantIds = await house.onLane(async (lane) => lane.tenantIds);
    for (const id of tenantIds) await finished({ bench: house }, startedBy(await house.service(TenantService).offboard(house.access, { id })));
  }
});
