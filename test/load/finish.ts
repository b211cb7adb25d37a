import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { Creator } from './creates.js';
import type { Bench } from './support/bench.js';
import { inParallel } from './support/numbers.js';

const OPERATIONS = 1500;
const DEADLINE_MS = 600_000;
const LOOK_EVERY_MS = 250;

/** Operations that one worker finishes per second: creates that wait for it, with a backend that does everything at once. */
export async function measureFinish(bench: Bench): Promise<void> {
  const client = new pg.Client({ connectionString: bench.muon.databaseUrl });
  await client.connect();
  const count = async (where: string): Promise<number> => {
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM operation WHERE ${where}`);
    return Number(rows[0]?.count);
  };
  try {
    const missing = bench.scaled(OPERATIONS) - (await count('ended_at IS NULL'));
    const creator = await Creator.open(bench, 8);
    if (missing > 0) await inParallel(missing, 8, async (_, lane) => void (await creator.create(lane)));
    creator.close();
    const queued = await count('ended_at IS NULL');
    await bench.muon.startWorker();
    const deadline = Date.now() + DEADLINE_MS;
    const start = performance.now();
    const cpu = await bench.cpuDuring(async () => {
      while ((await count('ended_at IS NULL')) > 0) {
        if (Date.now() > deadline) throw new Error(`${await count('ended_at IS NULL')} of ${queued} operations have not ended after ${DEADLINE_MS / 1000} s`);
        await pause(LOOK_EVERY_MS);
      }
    });
    const seconds = (performance.now() - start) / 1000;
    const failed = await count(`ended_at IS NOT NULL AND state <> 'SUCCEEDED'`);
    if (failed > 0) throw new Error(`${failed} operations did not succeed`);
    const against = bench.createsFloor === undefined ? {} : { floor: bench.createsFloor, against: 'pgbench, writes of their creates' };
    bench.report.add(
      { measure: 'operations finished, one worker', value: queued / seconds, unit: '/s', ...against },
      { measure: '… CPU of the worker for each', value: cpu.worker / queued, unit: 'ms' },
      { measure: '… CPU of the database for each, the simulated backend included', value: cpu.database / queued, unit: 'ms' },
    );
  } finally {
    await client.end();
    await bench.muon.stopWorkers();
  }
}
