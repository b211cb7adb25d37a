/**
 * Measures Muon on a lab that is up, against what somebody would do by hand in the same run.
 *
 *   npm run lab-bench                    everything
 *   npm run lab-bench -- machines        only these
 *   npm run lab-bench -- --quick         a few rounds: to see that it works, not for figures
 */
import { parseArgs } from 'node:util';
import { LabSystem } from '../../support/lab-system.js';
import { startLastingPostgres } from '../support/installation.js';
import { Report } from '../support/report.js';
import { measureMachines } from './machines.js';
import { measurePorts } from './ports.js';
import { measureSwarm } from './swarm.js';

export interface LabBench {
  muon: LabSystem;
  report: Report;
  /** How often; fewer for a quick look. */
  rounds: (count: number) => number;
}

const MEASURES: Record<string, (bench: LabBench) => Promise<void>> = { machines: measureMachines, ports: measurePorts, swarm: measureSwarm };
const QUICK_SHARE = 5;

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true });
const unknown = positionals.find((name) => !(name in MEASURES));
if (unknown !== undefined) throw new Error(`There is no measure "${unknown}"; there are: ${Object.keys(MEASURES).join(', ')}.`);

const report = new Report();
const server = await startLastingPostgres();
// Where the system makes its databases; this one keeps what it has written.
process.env['MUON_TEST_POSTGRES_URL'] = server.url('postgres');
const muon = await LabSystem.start();
try {
  const rounds = (count: number): number => (values.quick ? Math.max(1, Math.round(count / QUICK_SHARE)) : count);
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    console.log(`${name} …`);
    await measure({ muon, report, rounds });
  }
} finally {
  await muon.close();
  await server.stop();
}
console.log(`\n${report.toString()}`);
