import { createLogger } from '#core';
import { ChangeSet, ChangeSetApplier, Database, databaseRoom, migrate, statement, type Reader } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import {
  auditClaims,
  HOST_CLAIMS,
  placeMachines,
  placementRoom,
  registerPlacementSections,
  type PlacementMachine,
  type PlacementRequest,
} from '#placement';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { systemAccess } from '#testing';
import type { Bench } from './support/bench.js';
import { median } from './support/numbers.js';
import { valueAtMost } from './support/report.js';

/** The datacenter of the issue: 10,000 hosts in 3 zones and 250 racks that hold 100,000 machines. */
const HOSTS = 10_000;
const MACHINES = 100_000;
const GOAL_MS = 1000;

const GENERATE = [
  `INSERT INTO backend (id, name, kind, endpoint) VALUES ('bck_1', 'b', 'simulated', 'none')`,
  `INSERT INTO zone (id, name) SELECT 'zon_' || i, 'z' || i FROM generate_series(0, 2) AS i`,
  `INSERT INTO rack (id, zone_id, name) SELECT 'rck_' || i, 'zon_' || i % 3, 'r' || i FROM generate_series(0, 249) AS i`,
  `INSERT INTO host (id, backend_id, zone_id, rack_id, name, cpu, memory_mib, traits, health, intent)
   SELECT 'hst_' || lpad(i::text, 26, '0'), 'bck_1', 'zon_' || (i % 250) % 3, 'rck_' || i % 250, 'h' || i, 64, 262144,
     CASE WHEN i % 10 = 0 THEN '{ssd,gpu}'::text[] ELSE '{ssd}' END,
     CASE WHEN i % 50 = 1 THEN 'DOWN' ELSE 'UP' END, CASE WHEN i % 50 = 2 THEN 'SUSPENDED' ELSE 'ENABLED' END
   FROM generate_series(1, ${HOSTS}) AS i`,
  `INSERT INTO datastore (id, backend_id, zone_id, host_id, name, kind, capacity_gib)
   SELECT 'dst_' || substr(id, 5), backend_id, zone_id, id, 'local', 'local', 4000 FROM host`,
  `INSERT INTO datastore (id, backend_id, name, kind, capacity_gib) VALUES ('dst_shared', 'bck_1', 'ceph', 'shared', 10000000)`,
  `INSERT INTO host_claim (resource_id, host_id, tenant_id, project_id, cpu, memory_mib)
   SELECT 'vm_' || i, 'hst_' || lpad((1 + floor(random() * ${HOSTS}))::int::text, 26, '0'), 'ten_' || i % 50, 'prj_' || i % 500,
     (ARRAY[2, 4, 8])[1 + i % 3], (ARRAY[4096, 8192, 16384])[1 + i % 3]
   FROM generate_series(1, ${MACHINES}) AS i`,
  `UPDATE host_capacity AS h SET cpu_claimed = s.cpu, memory_claimed_mib = s.memory
   FROM (SELECT host_id, sum(cpu) AS cpu, sum(memory_mib) AS memory FROM host_claim GROUP BY host_id) AS s WHERE s.host_id = h.host_id`,
];
const scan = statement<{ cpu: number }>('load.placement_scan', 'SELECT sum(cpu_limit - cpu_claimed)::bigint AS cpu FROM host_capacity');

/** Places and claims sets of machines on 10,000 hosts, against one scan of the hosts in SQL. */
export async function measurePlacement(bench: Bench): Promise<void> {
  await bench.server.createDatabase('placement');
  const rooms = [databaseRoom, secretsRoom, eventsRoom, scopesRoom, identityRoom, infrastructureRoom, placementRoom];
  const patience = { statementTimeoutMs: 120_000, transactionTimeoutMs: 120_000 };
  const database = await Database.open({ url: bench.server.url('placement'), rooms, poolSize: 20, ...patience });
  try {
    await migrate(database);
    await database.transaction(async (transaction) => {
      for (const text of GENERATE) await transaction.raw(text);
    });
    const runner = database.dataSource.createQueryRunner();
    await runner.query('VACUUM ANALYZE');
    await runner.release();
    await measure(bench, database);
  } finally {
    await database.close();
  }
}

async function measure(bench: Bench, database: Database): Promise<void> {
  const placer = new Placer(database);
  const floor = await timeOf(bench.scaled(9), async () => database.first(scan));
  const line = async (what: string, rounds: number, work: () => Promise<unknown>, goal = false): Promise<void> => {
    const value = await timeOf(bench.scaled(rounds), work);
    const against = 'one scan of the hosts';
    bench.report.add({ measure: what, value, unit: 'ms', floor, against, ...(goal ? { goal: valueAtMost(GOAL_MS) } : {}) });
  };
  await line('100 machines placed and claimed at once on 10,000 hosts with 100,000', 9, () => placer.mutate({ machines: placer.machines(100) }), true);
  await line('… each with a local disk', 9, () => placer.mutate({ machines: placer.machines(100, { diskGib: 20, datastoreKind: 'local' }) }), true);
  await line('… each on a rack of its own', 5, () => placer.mutate({ machines: placer.machines(100, { groupIds: ['afg_1'] }), groups: APART }), true);
  await line('… one machine alone', 15, () => placer.mutate({ machines: placer.machines(1) }));
  await line('… 100 requests of one machine each, together', 3, () => Promise.all(placer.machines(100).map((machine) => placer.mutate({ machines: [machine] }))));
  await line('… a refusal with its explanation', 9, () => refused(placer.mutate({ machines: placer.machines(1, { cpu: 2000 }) })));
  await line('… 300 that cannot be kept apart on 250 racks, explained', 3, () =>
    refused(placer.mutate({ machines: placer.machines(300, { groupIds: ['afg_1'] }), groups: APART })),
  );
  const wrong = await auditClaims(database);
  if (wrong.length > 0) throw new Error(`claims do not add up: ${JSON.stringify(wrong.slice(0, 5))}`);
}

const APART = [{ id: 'afg_1', policy: 'ANTI_AFFINITY' as const, strength: 'REQUIRE' as const, scope: 'RACK' as const, existingHostIds: [] }];

class Placer {
  private readonly commands: CommandRunner;
  private made = 0;

  constructor(database: Database) {
    const applier = new ChangeSetApplier();
    registerPlacementSections(applier);
    this.commands = new CommandRunner(database, applier, createLogger('load', 'silent'));
  }

  machines(count: number, part: Partial<PlacementMachine> = {}): PlacementMachine[] {
    return Array.from({ length: count }, () => {
      this.made += 1;
      return { resourceId: `vm_new_${this.made}`, cpu: 4, memoryMib: 8192, diskGib: 0, traits: ['ssd'], ...part };
    });
  }

  /** Plan, place, claim, audit entry and commit: one whole mutation. */
  async mutate(request: Omit<PlacementRequest, 'zoneIds'>): Promise<void> {
    const command = { access: systemAccess(), name: 'load', input: {}, place: { tenantId: null, projectId: null } };
    await this.commands.run(command, async (reader: Reader) => {
      const { placements } = await placeMachines(reader, { zoneIds: ['zon_0', 'zon_1', 'zon_2'], ...request });
      const claims = request.machines.map((machine, index) => ({
        action: 'CLAIM' as const,
        resourceId: machine.resourceId,
        hostId: placements[index]?.hostId ?? '',
        tenantId: 'ten_1',
        projectId: 'prj_1',
        cpu: machine.cpu,
        memoryMib: machine.memoryMib,
      }));
      return new ChangeSet().add(HOST_CLAIMS, ...claims);
    });
  }
}

async function refused(work: Promise<unknown>): Promise<void> {
  const accepted = await work.then(
    () => true,
    () => false,
  );
  if (accepted) throw new Error('what cannot be placed was placed');
}

async function timeOf(rounds: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  await work();
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return median(times);
}
