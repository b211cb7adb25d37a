import { isDeepStrictEqual } from 'node:util';
import { Creator } from './creates.js';
import type { Bench } from './support/bench.js';
import { cpuOf } from './support/cpu.js';
import { getRequest, graphqlRequest, HttpConnection } from './support/http.js';
import { startProgram } from './support/installation.js';
import { inParallel, interleaved, median } from './support/numbers.js';
import { ratioAtMost } from './support/report.js';

const LIST = `query ($projectId: ID!) {
  virtualMachines(projectId: $projectId, first: 50) {
    nodes { id name state cpu memoryMib createdAt flavor { id name } }
    pageInfo { hasNextPage endCursor }
  }
}`;
const MACHINES = 60;
const CONNECTIONS = 16;
const REQUESTS = 2000;
const ROUNDS = 7;
/** Until the query is compiled. */
const WARM_UP = 600;
const GOAL = 3;

interface Round {
  /** Of one request, at full load. */
  ms: number;
  cpuMs: number;
}

/** A list of 50 machines with their flavors, against plain Fastify that serves the same JSON from the same database. */
export async function measureList(bench: Bench): Promise<void> {
  const project = bench.listProject;
  const creator = await Creator.open(bench, 8);
  await inParallel(MACHINES, 8, async (_, lane) => void (await creator.create(lane, project)));
  creator.close();
  const floor = await startProgram('the floor of lists', 'test/load/floor/list-server.js', process.env as Record<string, string>, [bench.muon.databaseUrl, project.projectId]);
  try {
    const contenders = [
      { url: bench.muon.api.url, pid: bench.muon.api.child.pid ?? 0, request: graphqlRequest(bench.muon.token, LIST, { projectId: project.projectId }) },
      { url: floor.url, pid: floor.child.pid ?? 0, request: getRequest('/machines') },
    ].map(({ url, pid, request }) => new Contender(url, pid, request));
    for (const contender of contenders) await contender.open();
    const bodies = await Promise.all(contenders.map((contender) => contender.body()));
    if (!isDeepStrictEqual(bodies[0], bodies[1])) throw new Error(`the floor does not serve the same:\n${JSON.stringify(bodies[0])}\n${JSON.stringify(bodies[1])}`);
    for (const contender of contenders) await contender.round(WARM_UP);
    const total = bench.scaled(REQUESTS);
    const [mine = [], floors = []] = await interleaved(ROUNDS, contenders.map((contender) => () => contender.round(total)));
    for (const contender of contenders) contender.close();
    const of = (rounds: readonly Round[], pick: (round: Round) => number): number => median(rounds.map(pick));
    const against = 'Fastify, prepared SQL';
    bench.report.add(
      { measure: 'list of 50 machines with flavors, time of each at full load', value: of(mine, (round) => round.ms), unit: 'ms', floor: of(floors, (round) => round.ms), against, goal: ratioAtMost(GOAL) },
      { measure: '… CPU of the server for each', value: of(mine, (round) => round.cpuMs), unit: 'ms', floor: of(floors, (round) => round.cpuMs), against, goal: ratioAtMost(GOAL) },
    );
  } finally {
    await floor.stop();
  }
}

class Contender {
  private connections: HttpConnection[] = [];

  constructor(
    private readonly url: string,
    private readonly pid: number,
    private readonly request: Buffer,
  ) {}

  async open(): Promise<void> {
    this.connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => HttpConnection.open(this.url)));
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }

  async body(): Promise<unknown> {
    return JSON.parse((await this.send(0)).toString());
  }

  async round(total: number): Promise<Round> {
    const [start, cpu] = [performance.now(), await cpuOf(this.pid)];
    await inParallel(total, CONNECTIONS, async (_, lane) => void (await this.send(lane)));
    return { ms: (performance.now() - start) / total, cpuMs: ((await cpuOf(this.pid)) - cpu) / total };
  }

  private async send(lane: number): Promise<Buffer> {
    const answer = await this.connections[lane]?.send(this.request);
    if (answer?.status !== 200) throw new Error(`a list was answered with ${answer?.status}: ${answer?.body.toString()}`);
    return answer.body;
  }
}
