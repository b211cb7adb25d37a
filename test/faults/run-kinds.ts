import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultHouse } from './bench/fault-house.js';
import { Play } from './play.js';
import { failuresOf, Report } from './report.js';
import type { Scenario } from './scenario.js';

/** Puts each kind through everything that can go wrong with it, several at once, each run on a backend of its own. */
export function runKinds(title: string, scenarios: readonly Scenario[]): void {
  describe.concurrent(`${title}`, () => {
    let bench: FaultHouse;
    const report = new Report();

    beforeAll(async () => {
      bench = await FaultHouse.open();
    });
    afterAll(async () => {
      report.print(title);
      await bench.close();
    });

    it.each(scenarios.map((scenario) => ({ kind: scenario.kind, scenario })))('$kind', { timeout: 300_000 }, async ({ kind, scenario }) => {
      const start = performance.now();
      const play = new Play(bench, scenario);
      const points = await play.points();
      const played = await Promise.all(points.map((point) => play.run(point)));
      report.add({ kind, points, ms: performance.now() - start });
      expect(failuresOf(played)).toEqual([]);
    });
  });
}
