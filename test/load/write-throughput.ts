import type { Bench, CpuUse } from './support/bench.js';
import { inParallel, interleaved, median } from './support/numbers.js';
import { ratioAtLeast } from './support/report.js';

export const CLIENTS = 8;
const ROUNDS = 5;
const FLOOR_SECONDS = 3;
/** Places of a /16 for each client and round of the floor. */
const WIDTH = 800;
/** Of the lowest rate against pgbench (issue: accepted mutations per second). */
const GOAL = 0.4;

export interface WriteContest {
  name: string;
  /** Requests of one round. */
  requests: number;
  send: (lane: number) => Promise<unknown>;
  /** For pgbench; none when it is missing. */
  scripts: readonly string[];
}

interface Round {
  perSecond: number;
  apiMs: number;
  databaseMs: number;
}

const roundOf = (count: number, perSecond: number, cpu: CpuUse): Round => ({ perSecond, apiMs: cpu.api / count, databaseMs: cpu.database / count });

/**
 * Mutations accepted by the api from eight clients, against pgbench with as many that does the same writes.
 * @returns what pgbench did per second
 */
export async function writeThroughput(bench: Bench, { name, requests, send, scripts }: WriteContest): Promise<number> {
  const total = bench.scaled(requests);
  await inParallel(Math.ceil(total / 2), CLIENTS, async (_, lane) => void (await send(lane)));
  let round = 0;
  const ours = async (): Promise<Round> => {
    const start = performance.now();
    const cpu = await bench.cpuDuring(() => inParallel(total, CLIENTS, async (_, lane) => void (await send(lane))));
    return roundOf(total, (total / (performance.now() - start)) * 1000, cpu);
  };
  const floor = async (): Promise<Round> => {
    const { pgbench } = bench;
    if (pgbench === undefined) return { perSecond: Number.NaN, apiMs: Number.NaN, databaseMs: Number.NaN };
    round += 1;
    const variables = { counter: 0, round, base: round * CLIENTS * WIDTH, width: WIDTH };
    let result = { perSecond: 0, count: 1 };
    const cpu = await bench.cpuDuring(async () => {
      result = await pgbench.run(bench.floorUrl, scripts, { clients: CLIENTS, seconds: FLOOR_SECONDS, variables });
    });
    return roundOf(result.count, result.perSecond, cpu);
  };
  const [mine = [], floors = []] = await interleaved(ROUNDS, [ours, floor]);
  const of = (rounds: readonly Round[], pick: (each: Round) => number): number => median(rounds.map(pick));
  const floorRate = of(floors, (each) => each.perSecond);
  const against = 'pgbench, same writes';
  bench.report.add(
    { measure: `${name} accepted, 8 clients`, value: of(mine, (each) => each.perSecond), unit: '/s', floor: floorRate, against, goal: ratioAtLeast(GOAL) },
    { measure: '… CPU of the database for each', value: of(mine, (each) => each.databaseMs), unit: 'ms', floor: of(floors, (each) => each.databaseMs), against },
    { measure: '… CPU of the api for each', value: of(mine, (each) => each.apiMs), unit: 'ms' },
  );
  return floorRate;
}
