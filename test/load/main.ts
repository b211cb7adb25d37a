/**
 * Measures this build against floors taken in the same run, and prints one table.
 *
 *   npm run bench                        everything
 *   npm run bench -- creates clusters    only these
 *   npm run bench -- --quick             a tenth of everything: to see that it works, not for figures
 */
import { parseArgs } from 'node:util';
import { measureClusters } from './clusters.js';
import { measureCreates } from './creates.js';
import { measureFinish } from './finish.js';
import { measureList } from './list.js';
import { measureMemory } from './memory.js';
import { measureOnboarding } from './onboarding.js';
import { measurePlacement } from './placement.js';
import { measureRounds } from './rounds.js';
import { measureStart } from './start.js';
import { Bench } from './support/bench.js';
import { startLastingPostgres } from './support/installation.js';
import { Pgbench } from './support/pgbench.js';
import { Report } from './support/report.js';

/** In the order in which they run: memory before anything has used it, what waits for the worker after what makes it. */
const MEASURES: Record<string, (bench: Bench) => Promise<void>> = {
  start: ({ report }) => measureStart(report),
  memory: measureMemory,
  list: measureList,
  creates: measureCreates,
  onboarding: measureOnboarding,
  finish: measureFinish,
  placement: measurePlacement,
  clusters: measureClusters,
  rounds: measureRounds,
};

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true });
const unknown = positionals.find((name) => !(name in MEASURES));
if (unknown !== undefined) throw new Error(`There is no measure "${unknown}"; there are: ${Object.keys(MEASURES).join(', ')}.`);

const report = new Report();
const pgbench = await Pgbench.find();
if (pgbench === undefined) report.note(Pgbench.missing);
const server = await startLastingPostgres();
try {
  const bench = await Bench.open(server, { pgbench, report, scale: values.quick ? 0.1 : 1 });
  await bench.muon.startApi();
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    console.log(`${name} …`);
    await measure(bench);
  }
  await bench.muon.stop();
} finally {
  await server.stop();
}
console.log(`\n${report.toString()}`);
if (report.hasFailed) process.exitCode = 1;
