import { FIRST_NUMBER, scriptOf, summaryOf, writesOf, type Writes } from './floor/same-writes.js';
import type { Bench } from './support/bench.js';
import { FLAVOR, IMAGE, type BenchProject } from './support/datacenter.js';
import { graphqlRequest, HttpConnection } from './support/http.js';
import { inParallel, interleaved, median, percentile } from './support/numbers.js';
import { ratioAtMost } from './support/report.js';
import { CLIENTS, writeThroughput } from './write-throughput.js';

export const CREATE = `mutation ($input: CreateVirtualMachineInput!) {
  createVirtualMachine(input: $input) { virtualMachine { id state } operation { id state } }
}`;
const ROUNDS = 5;
const CREATES = 400;
/** Real requests that the floor's scripts are made from: hosts are spread among them. */
const SAMPLES = 24;
const AT_ONCE = 100;

/** Sends creates to the api, each connection its own. */
export class Creator {
  private number = 0;

  constructor(
    private readonly bench: Bench,
    private readonly connections: readonly HttpConnection[],
  ) {}

  static async open(bench: Bench, connections: number): Promise<Creator> {
    const { apis } = bench.muon;
    const open = Array.from({ length: connections }, (_, index) => HttpConnection.open(apis[index % apis.length]?.url ?? ''));
    return new Creator(bench, await Promise.all(open));
  }

  /** @returns the machine's id */
  async create(lane: number, project: BenchProject | undefined = this.bench.projects[lane % this.bench.projects.length]): Promise<string> {
    this.number += 1;
    const input = { projectId: project?.projectId, networkId: project?.networkId, name: `m-${process.hrtime.bigint()}-${this.number}`, flavor: FLAVOR, image: IMAGE };
    const answer = await this.connections[lane]?.send(graphqlRequest(this.bench.muon.token, CREATE, { input }));
    const body = JSON.parse(answer?.body.toString() ?? '') as { data?: { createVirtualMachine?: { virtualMachine: { id: string } } } };
    const id = body.data?.createVirtualMachine?.virtualMachine.id;
    if (id === undefined) throw new Error(`a create was refused: ${JSON.stringify(body)}`);
    return id;
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}

/** Accepted creates per second, and a hundred at once, with the worker at rest: what the api alone can take in. */
export async function measureCreates(bench: Bench): Promise<void> {
  const creator = await Creator.open(bench, AT_ONCE);
  const scripts = bench.pgbench === undefined ? [] : await floorScripts(bench, creator);
  bench.createsFloor = await writeThroughput(bench, { name: 'createVirtualMachine', requests: CREATES, send: (lane) => creator.create(lane), scripts });
  await measureBurst(bench, creator, scripts);
  creator.close();
}

async function measureBurst(bench: Bench, creator: Creator, scripts: readonly string[]): Promise<void> {
  const alone = (): Promise<number[]> => inParallel(50, 1, async (_, lane) => void (await creator.create(lane)));
  const burst = (): Promise<number[]> => inParallel(AT_ONCE, AT_ONCE, async (_, lane) => void (await creator.create(lane)));
  const [singles = [], bursts = []] = await interleaved(ROUNDS, [alone, burst]);
  const p95 = (rounds: readonly number[][]): number => median(rounds.map((times) => percentile(times, 0.95)));
  const [one, hundred] = [p95(singles), p95(bursts)];
  bench.report.add({ measure: '100 creates at once, accept p95', value: hundred, unit: 'ms', floor: one, against: 'one alone, p95', goal: ratioAtMost(3) });
  const { pgbench } = bench;
  if (pgbench === undefined) return;
  const run = async (clients: number, transactions: number, round: number): Promise<number[]> => {
    const variables = { counter: 0, round, base: 40_000 + round * 200, width: 2 };
    return (await pgbench.run(bench.floorUrl, scripts, { clients, transactions, variables })).latencies;
  };
  let round = 10;
  const [floorSingles = [], floorBursts = []] = await interleaved(ROUNDS, [() => run(1, 50, (round += 1)), () => run(AT_ONCE, 1, (round += 1))]);
  bench.report.add({ measure: '… the same by pgbench alone', value: p95(floorBursts), unit: 'ms', floor: p95(floorSingles), against: 'one alone, p95' });
}

/** Scripts that write what real creates wrote; proven to write as many rows to the same tables. */
async function floorScripts(bench: Bench, creator: Creator): Promise<string[]> {
  const samples: Writes[] = [];
  for (let number = 0; number < SAMPLES; number += 1) {
    samples.push(await writesOf(bench.muon.databaseUrl, 'virtual_machine', 'id', await creator.create(number % CLIENTS)));
  }
  const scripts = samples.map(createScript);
  await bench.pgbench?.run(bench.floorUrl, scripts.slice(0, 1), { clients: 1, transactions: 1, variables: { counter: 0, round: 0, base: 10, width: 1 } });
  const written = await writesOf(bench.floorUrl, 'virtual_machine', 'name', `floor-${FIRST_NUMBER + 1}`);
  const [wanted, got] = [summaryOf(samples[0] as Writes), summaryOf(written)];
  if (wanted !== got) throw new Error(`the floor does not write what a create writes:\n${wanted}\n${got}`);
  return scripts;
}

function createScript(sample: Writes): string {
  const value = (table: string, column: string, row = 0): string => sample.tables.get(table)?.[row]?.get(column)?.literal ?? 'NULL';
  const bare = (literal: string): string => literal.slice(1, -1);
  const machine = 'public.virtual_machine';
  const [cpu, memory, gib] = [value('public.host_claim', 'cpu'), value('public.host_claim', 'memory_mib'), value('public.datastore_claim', 'gib')].map(bare);
  const charges = (sample.tables.get('public.quota_charge') ?? []).map((row) => ({
    key: row.get('resource_key')?.literal ?? '',
    zone: row.get('zone_id')?.literal ?? '',
    amount: bare(row.get('amount')?.literal ?? ''),
  }));
  // Each charge counts in the zone's counter and in that of all zones.
  const counters = (scope: string): string => charges.flatMap(({ key, zone, amount }) => [`(${scope}, ${key}, '', ${amount})`, `(${scope}, ${key}, ${zone}, ${amount})`]).join(', ');
  // Locked in one order, as any program has to that does not want to meet deadlocks.
  const take = (scope: string): string =>
    `WITH w (scope_id, resource_key, zone_id, amount) AS (VALUES ${counters(scope)}),
     locked AS MATERIALIZED (SELECT c.scope_id, c.resource_key, c.zone_id, w.amount FROM w JOIN quota_counter AS c USING (scope_id, resource_key, zone_id)
       ORDER BY c.resource_key, c.zone_id FOR UPDATE OF c)
     UPDATE quota_counter AS c SET used_amount = c.used_amount + w.amount FROM locked AS w
     WHERE c.scope_id = w.scope_id AND c.resource_key = w.resource_key AND c.zone_id = w.zone_id
       AND (c.limit_amount IS NULL OR c.used_amount + w.amount <= c.limit_amount)`;
  return scriptOf(sample, {
    order: ['resource_lock', 'host_capacity', 'host_claim', 'datastore_capacity', 'datastore_claim', 'address_allocation', 'virtual_machine', 'port', 'disk', 'operation']
      .map((table) => `public.${table}`)
      .concat('bullmq.job', 'public.quota_charge', 'public.quota_counter', 'public.audit_entry'),
    instead: {
      'public.host_capacity': `UPDATE host_capacity SET cpu_claimed = cpu_claimed + ${cpu}, memory_claimed_mib = memory_claimed_mib + ${memory}
        WHERE host_id = ${value('public.host_claim', 'host_id')} AND state = 'ACTIVE' AND cpu_claimed + ${cpu} <= cpu_limit AND memory_claimed_mib + ${memory} <= memory_limit_mib`,
      'public.datastore_capacity': `UPDATE datastore_capacity SET claimed_gib = claimed_gib + ${gib}
        WHERE datastore_id = ${value('public.datastore_claim', 'datastore_id')} AND state = 'ACTIVE' AND claimed_gib + ${gib} <= limit_gib`,
      'public.quota_counter': `${take(value(machine, 'project_id'))};\n${take(value(machine, 'tenant_id'))}`,
      'bullmq.job': ADD_JOB,
    },
    replaced: {
      [bare(value(machine, 'name'))]: `'floor-' || :number`,
      [bare(value('public.port', 'address'))]: `'10.0.0.2'::inet + :place::bigint`,
      [bare(value('public.port', 'mac_address'))]: `'0200' || lpad(to_hex(:place::bigint), 8, '0')`,
    },
  });
}

/** What the bell of every operation sends. */
const ADD_JOB = `SELECT bullmq.add_job('muon-operations', '', 'ring', '{}', '{"attempts": 1, "removeOnFail": true, "removeOnComplete": true}',
  0, 0, 1790000000000, 1, NULL, NULL, NULL, NULL, NULL, false)`;
