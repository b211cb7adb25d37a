import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { ClusterService, ClusterVersionService } from '#clusters';
import { ImageService } from '#compute';
import type { Bench } from './support/bench.js';
import { memoryOf } from './support/cpu.js';
import { Datacenter, FLAVOR, type BenchProject } from './support/datacenter.js';
import { Installation } from './support/installation.js';
import { inParallel } from './support/numbers.js';
import { valueAtMost } from './support/report.js';

const CLUSTERS = 1000;
const TENANTS = 10;
const GOAL_SECONDS = 300;
const DEADLINE_MS = 1_800_000;
const LOOK_EVERY_MS = 1000;
const RELEASE = '1.34.2';

/** A thousand clusters of one control node and one worker, all asked for at once: from the first request to the last one ready. */
export async function measureClusters(bench: Bench): Promise<void> {
  await bench.server.createDatabase('simulation-clusters');
  const muon = await Installation.create(bench.server, 'clusters');
  const house = await muon.openHouse();
  const datacenter = await Datacenter.make(house, bench.server.url('simulation-clusters'));
  await datacenter.service(ImageService).create(datacenter.access, { name: 'node', reference: `kubernetes-${RELEASE}`, operatingSystem: 'Debian 12', minimumDiskGib: 4 });
  await datacenter.service(ClusterVersionService).create(datacenter.access, { name: 'kubernetes', kind: 'KUBERNETES', release: RELEASE, image: 'node' });
  const projects: BenchProject[] = [];
  for (let tenant = 0; tenant < TENANTS; tenant += 1) projects.push(...(await datacenter.addTenant()));
  await muon.startApi();
  const worker = await muon.startWorker();
  const client = new pg.Client({ connectionString: muon.databaseUrl });
  await client.connect();
  const total = bench.scaled(CLUSTERS);
  let peakMib = 0;
  try {
    const start = performance.now();
    const cpu = await bench.cpuDuring(async () => {
      await inParallel(total, 8, async (number) => {
        const project = projects[number % projects.length];
        await datacenter.service(ClusterService).create(datacenter.access, {
          projectId: project?.projectId ?? '',
          name: `cluster-${number}`,
          version: RELEASE,
          controlPlane: { count: 1, flavor: FLAVOR },
          nodePools: [{ name: 'workers', flavor: FLAVOR, count: 1 }],
        });
      });
      console.log(`  all asked for after ${((performance.now() - start) / 1000).toFixed(0)} s`);
      const deadline = Date.now() + DEADLINE_MS;
      for (;;) {
        const left = await unfinished(client);
        peakMib = Math.max(peakMib, (await memoryOf(worker.child.pid ?? 0)).residentMib);
        if (left === 0) return;
        if (Date.now() > deadline) throw new Error(`${left} of ${total} clusters are not ready after ${DEADLINE_MS / 1000} s`);
        await pause(LOOK_EVERY_MS);
      }
    }, muon);
    const seconds = (performance.now() - start) / 1000;
    bench.report.add(
      { measure: `${total} clusters of 1 + 1 nodes, from request to ready`, value: seconds, unit: 's', goal: valueAtMost((GOAL_SECONDS * total) / CLUSTERS) },
      { measure: '… CPU of the worker for each', value: cpu.worker / total, unit: 'ms' },
      { measure: '… CPU of the database for each', value: cpu.database / total, unit: 'ms' },
      { measure: '… memory of the worker at most', value: peakMib, unit: 'MiB' },
    );
  } finally {
    await client.end();
    await house.close();
    await muon.stop();
  }
}

/** How many clusters are still being made. @throws when one could not be */
async function unfinished(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ lifecycle: string; count: string }>('SELECT lifecycle, count(*) FROM cluster GROUP BY lifecycle');
  const failed = rows.find((row) => row.lifecycle === 'FAILED');
  if (failed !== undefined) throw new Error(`${failed.count} clusters could not be made`);
  return rows.filter((row) => row.lifecycle !== 'PRESENT').reduce((sum, row) => sum + Number(row.count), 0);
}
