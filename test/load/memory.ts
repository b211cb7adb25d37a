import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient } from '../support/client.js';
import type { Bench } from './support/bench.js';
import { memoryOf } from './support/cpu.js';
import { valueAtMost } from './support/report.js';

const IDLE_MS = 20_000;
const GOAL_MIB = 350;

/** What api and worker hold in memory when they have started, answered once, and then do nothing. */
export async function measureMemory(bench: Bench): Promise<void> {
  const worker = await bench.muon.startWorker();
  await new ApiClient(bench.muon.api.url, bench.muon.token).request('{ viewer { name } }');
  const bare = spawn(process.execPath, ['--eval', `require('node:http').createServer().listen(0)`], { stdio: 'ignore' });
  await pause(IDLE_MS);
  const [api, working, floor] = await Promise.all([bench.muon.api.child, worker.child, bare].map((child) => memoryOf(child.pid ?? 0)));
  bare.kill();
  await bench.muon.stopWorkers();
  if (api === undefined || working === undefined || floor === undefined) return;
  bench.report.add(
    { measure: 'idle memory of api and worker, resident', value: api.residentMib + working.residentMib, unit: 'MiB', floor: 2 * floor.residentMib, against: 'two bare Node servers', goal: valueAtMost(GOAL_MIB) },
    { measure: '… of the api', value: api.residentMib, unit: 'MiB' },
    { measure: '… of the worker', value: working.residentMib, unit: 'MiB' },
    { measure: '… of both, shared pages counted once', value: api.proportionalMib + working.proportionalMib, unit: 'MiB' },
  );
}
