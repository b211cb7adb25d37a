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
/** The same and their ports, whose every row is asked about, too. */
const GUARDED = LIST.replace('flavor { id name }', 'flavor { id name } ports { id address }');
const WITHOUT_RIGHTS = 'the same without authorisation';
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

/**
 * A list of 50 machines with their flavors, against plain Fastify that serves the same JSON from the same database; and what
 * authorisation costs of it.
 */
export async function measureList(bench: Bench): Promise<void> {
  const project = bench.listProject;
  const creator = await Creator.open(bench, 8);
  await inParallel(MACHINES, 8, async (_, lane) => void (await creator.create(lane, project)));
  creator.close();
  const floor = await startProgram('the floor of lists', 'test/load/floor/list-server.js', process.env as Record<string, string>, [bench.muon.databaseUrl, project.projectId]);
  const open = await startProgram('the api without rights', 'test/load/floor/open-api.js', bench.muon.environment);
  const { api } = bench.muon;
  try {
    const viewer = await viewerOf(bench, project.projectId);
    const contenders = [
      { url: api.url, pid: api.child.pid ?? 0, request: graphqlRequest(bench.muon.token, LIST, { projectId: project.projectId }) },
      { url: floor.url, pid: floor.child.pid ?? 0, request: getRequest('/machines') },
      { url: api.url, pid: api.child.pid ?? 0, request: graphqlRequest(viewer, GUARDED, { projectId: project.projectId }) },
      { url: open.url, pid: open.child.pid ?? 0, request: graphqlRequest(viewer, GUARDED, { projectId: project.projectId }) },
    ].map(({ url, pid, request }) => new Contender(url, pid, request));
    for (const contender of contenders) await contender.open();
    const bodies = await Promise.all(contenders.map((contender) => contender.body()));
    for (const [mine, other] of [[bodies[0], bodies[1]], [bodies[2], bodies[3]]]) {
      if (!isDeepStrictEqual(mine, other)) throw new Error(`the floor does not serve the same:\n${JSON.stringify(mine)}\n${JSON.stringify(other)}`);
    }
    for (const contender of contenders) await contender.round(WARM_UP);
    const total = bench.scaled(REQUESTS);
    const [mine = [], floors = [], guarded = [], unguarded = []] = await interleaved(ROUNDS, contenders.map((contender) => () => contender.round(total)));
    for (const contender of contenders) contender.close();
    const of = (rounds: readonly Round[], pick: (round: Round) => number): number => median(rounds.map(pick));
    const against = 'Fastify, prepared SQL';
    bench.report.add(
      { measure: 'list of 50 machines with flavors, time of each at full load', value: of(mine, (round) => round.ms), unit: 'ms', floor: of(floors, (round) => round.ms), against, goal: ratioAtMost(GOAL) },
      { measure: '… CPU of the server for each', value: of(mine, (round) => round.cpuMs), unit: 'ms', floor: of(floors, (round) => round.cpuMs), against, goal: ratioAtMost(GOAL) },
      { measure: '… with ports, for a VIEWER of the project', value: of(guarded, (round) => round.ms), unit: 'ms', floor: of(unguarded, (round) => round.ms), against: WITHOUT_RIGHTS },
      { measure: '… CPU of the server for each', value: of(guarded, (round) => round.cpuMs), unit: 'ms', floor: of(unguarded, (round) => round.cpuMs), against: WITHOUT_RIGHTS },
    );
  } finally {
    await floor.stop();
    await open.stop();
  }
}

/** A token of somebody who may only read that project. */
async function viewerOf(bench: Bench, projectId: string): Promise<string> {
  const { owner } = bench.muon;
  const made = await owner.request<{ createServiceAccount: { principal: { id: string } } }>(
    'mutation ($scope: ID!) { createServiceAccount(input: { scopeId: $scope, name: "reader" }) { principal { id } } }',
    { scope: projectId },
  );
  const { createApiToken } = await owner.request<{ createApiToken: { token: string } }>(
    `mutation ($id: ID!, $scope: ID!) {
      grantRole(input: { principalId: $id, scopeId: $scope, role: VIEWER }) { roleBindingId }
      createApiToken(input: { principalId: $id, name: "bench" }) { token }
    }`,
    { id: made.createServiceAccount.principal.id, scope: projectId },
  );
  return createApiToken.token;
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
