import { auditClaims } from '#placement';
import { auditCounters } from '#quota';
import type { House } from '../../apps/composition/src/house.js';
import { CREATE } from './creates.js';
import type { Bench } from './support/bench.js';
import { Datacenter, FLAVOR, IMAGE, type BenchProject } from './support/datacenter.js';
import { graphqlRequest, HttpConnection } from './support/http.js';
import { Installation } from './support/installation.js';
import { inParallel } from './support/numbers.js';
import { valueAtMost } from './support/report.js';

const SMALL = { limit: 10, requests: 40 };
const LARGE = { limit: 50, requests: 200 };
const QUOTA_ROUNDS = 1000;
/** Each needs a zone of its own. */
const CAPACITY_ROUNDS = 100;
const PREPARED_AT_ONCE = 4;

type Form = typeof SMALL;
type Scarce = 'QUOTA' | 'CAPACITY';

interface Answer {
  data?: { createVirtualMachine?: { virtualMachine: { id: string } } } | null;
  errors?: { message: string; extensions: { code: string } }[];
}

/** Many creates at once against a limit or a full zone: exactly as many as fit are accepted, every time, and all sums agree. */
export async function measureRounds(bench: Bench): Promise<void> {
  await bench.server.createDatabase('simulation-rounds');
  const muon = await Installation.create(bench.server, 'rounds');
  await muon.startApi();
  const house = await muon.openHouse();
  const datacenter = await Datacenter.make(house, bench.server.url('simulation-rounds'));
  const connections = await Promise.all(Array.from({ length: LARGE.requests }, () => HttpConnection.open(muon.api.url)));
  const rounds = new Rounds(datacenter, connections, muon.token);
  try {
    await rounds.run('QUOTA', LARGE, 1);
    await rounds.run('CAPACITY', LARGE, 1);
    const start = performance.now();
    await rounds.run('QUOTA', SMALL, bench.scaled(QUOTA_ROUNDS));
    await rounds.run('CAPACITY', SMALL, bench.scaled(CAPACITY_ROUNDS));
    const seconds = (performance.now() - start) / 1000;
    bench.report.add(
      { measure: `rounds of 200 creates for 50 places, or 40 for 10, that did not accept exactly as many (of ${rounds.count})`, value: rounds.wrong.length, unit: 'rounds', goal: valueAtMost(0) },
      { measure: 'counters and claims that differ from the sums of their entries', value: await driftOf(house), unit: 'rows', goal: valueAtMost(0) },
      { measure: '… such requests answered, refusals included', value: rounds.asked / seconds, unit: '/s' },
    );
    for (const text of rounds.wrong.slice(0, 5)) bench.report.note(text);
    if (rounds.wrong.length > 0) bench.report.fail();
  } finally {
    for (const connection of connections) connection.close();
    await house.close();
    await muon.stop();
  }
}

class Rounds {
  readonly wrong: string[] = [];
  count = 0;
  asked = 0;

  constructor(
    private readonly datacenter: Datacenter,
    private readonly connections: readonly HttpConnection[],
    private readonly token: string,
  ) {}

  async run(scarce: Scarce, form: Form, rounds: number): Promise<void> {
    for (let done = 0; done < rounds; done += PREPARED_AT_ONCE) {
      const projects: BenchProject[] = [];
      await inParallel(Math.min(PREPARED_AT_ONCE, rounds - done), PREPARED_AT_ONCE, async () => void projects.push(await this.prepare(scarce, form)));
      for (const project of projects) await this.round(scarce, form, project);
    }
  }

  /** A tenant whose machines are limited, or whose one zone has room for no more. */
  private async prepare(scarce: Scarce, { limit }: Form): Promise<BenchProject> {
    this.count += 1;
    if (scarce === 'QUOTA') return (await this.datacenter.addTenant({ machines: limit }))[0] as BenchProject;
    const zone = `full-${this.count}`;
    // Two hosts, so that the last places are fought for on both.
    await this.datacenter.addZone(zone, { prefix: zone, count: 2, cpu: limit / 2, memoryMib: 262_144, pools: [{ name: 'local', capacityGib: 10_000 }] });
    return (await this.datacenter.addTenant({ zones: [zone] }))[0] as BenchProject;
  }

  private async round(scarce: Scarce, { limit, requests }: Form, project: BenchProject): Promise<void> {
    const { projectId, networkId } = project;
    const answers = await Promise.all(
      this.connections.slice(0, requests).map(async (connection, index): Promise<Answer> => {
        const input = { projectId, networkId, name: `m-${index}`, flavor: FLAVOR, image: IMAGE };
        const answer = await connection.send(graphqlRequest(this.token, CREATE, { input }));
        return JSON.parse(answer.body.toString()) as Answer;
      }),
    );
    this.asked += requests;
    const code = scarce === 'QUOTA' ? 'QUOTA_EXCEEDED' : 'INSUFFICIENT_CAPACITY';
    const accepted = answers.filter((answer) => answer.errors === undefined).length;
    const others = answers.flatMap((answer) => answer.errors ?? []).filter((error) => error.extensions.code !== code);
    if (accepted === limit && others.length === 0) return;
    this.wrong.push(`${scarce} ${projectId}: ${accepted} of ${requests} accepted instead of ${limit}; ${JSON.stringify(others.slice(0, 2))}`);
  }
}

async function driftOf(house: House): Promise<number> {
  const { drift } = await auditCounters(house.database);
  return drift.length + (await auditClaims(house.database)).length;
}
