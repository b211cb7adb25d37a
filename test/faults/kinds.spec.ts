import { afterAll, beforeAll, expect, it } from 'vitest';
import { FaultHouse } from './bench/fault-house.js';
import { scenarios } from './scenarios/index.js';

let bench: FaultHouse;

beforeAll(async () => {
  bench = await FaultHouse.open({ lanes: 0 });
});
afterAll(() => bench.close());

it('puts every kind of operation to the test that the house registers', () => {
  const registered = bench.house.registry.kinds.map((kind) => kind.kind);
  const covered = scenarios.map((scenario) => scenario.kind);
  expect(new Set(covered).size).toBe(covered.length);
  const missing = registered.filter((kind) => !covered.includes(kind));
  expect(missing, `no scenario in test/faults/scenarios for: ${missing.join(', ')}`).toEqual([]);
  const gone = covered.filter((kind) => !registered.includes(kind));
  expect(gone, `scenarios of kinds that nobody registers: ${gone.join(', ')}`).toEqual([]);
});
