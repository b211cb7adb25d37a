import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GuestRunner, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { ChangeSet, statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { defineOperation, done, operationId, OPERATIONS, type OperationKind, type StepContext } from '#operations';
import { clustersBench, type ClustersBench } from '#testing';
import { onMembers } from '../node/member-steps.js';
import { nobody, type ClusterTools } from '../node/node-steps.js';
import { readOneCluster } from './cluster-facts.js';

const KIND = 'spec.guest.script';
const input = z.strictObject({ clusterId: z.string(), way: z.enum(['EACH', 'ONE', 'MEMBERS']), word: z.string() });
type Input = z.output<typeof input>;
const MAX_FAILURES = 2;
/** What an upgrade has added to the scripts of nodes, by machine id. */
const editions = new Map<string, string>();
const SECOND = ' # second edition';

const begunLongAgo = statement<never, [id: string]>(
  'spec.guest_begun_long_ago',
  `UPDATE operation_step SET memo = jsonb_set(memo, '{begun,since}', '0') WHERE operation_id = $1 AND memo ? 'begun'`,
);

/** A step that nothing takes back: what its script cannot do comes to rest STUCK. */
function scriptOperation(tools: () => ClusterTools): OperationKind<unknown> {
  const run = async (context: StepContext<Input>) => {
    const { clusterId, way, word } = context.operation.input;
    const facts = await readOneCluster(context.reader, clusterId);
    const script = { script: `echo ${word}`, timeoutSeconds: 10 };
    const common = { purpose: 'spec', words: 'say a word', maxFailures: MAX_FAILURES };
    if (way === 'EACH') {
      const tasks = facts.nodes.map((node) => ({ node, script: { ...script, script: `echo ${word}${editions.get(node.row.machine_id) ?? ''}` } }));
      return tools().guests.onEach(context, { ...common, tasks, parallel: 10 });
    }
    const controls = facts.nodes.filter((node) => node.row.role === 'CONTROL');
    if (way === 'ONE') {
      const upgraded = { ...script, script: `${script.script}${editions.get(String(controls[0]?.row.machine_id)) ?? ''}` };
      return tools().guests.onOneOf(context, { ...common, key: 'spec', controls, script: upgraded });
    }
    const members = facts.nodes.filter((node) => node.row.role === 'WORKER');
    const scriptOf = (node: (typeof members)[number]) => ({ ...script, script: `echo ${word} ${node.row.name}` });
    return onMembers(tools(), context, facts, nobody, { ...common, members, script: scriptOf });
  };
  return defineOperation<Input>({
    kind: KIND,
    version: 1,
    input,
    deadlineMs: 60_000,
    steps: [
      { name: 'begin', pivot: true, run: async () => done() },
      { name: 'script', run },
    ],
  }) as OperationKind<unknown>;
}

describe('scripts that failed for good', () => {
  let bench: ClustersBench;
  let cluster: ClusterRow;
  let nodes: ClusterNodeRow[];

  beforeAll(async () => {
    bench = await clustersBench({ moreKinds: (drivers) => [scriptOperation(() => ({ ...bench.tools, guests: new GuestRunner(drivers, { retryMs: 20 }) }))] });
    cluster = await bench.made(bench.emptyProject(), 'talkative');
    nodes = await bench.nodes(cluster.id);
  });
  afterEach(async () => {
    editions.clear();
    await bench.center.world.clearFaults();
  });
  afterAll(() => bench.close());

  async function started(way: Input['way'], word: string): Promise<string> {
    const id = operationId.create();
    const { id: clusterId, tenant_id: tenantId, project_id: projectId } = cluster;
    await bench.center.operations.submit(
      new ChangeSet().add(OPERATIONS, { id, kind: KIND, resourceKind: 'cls', resourceId: clusterId, tenantId, projectId, input: { clusterId, way, word } }),
    );
    return id;
  }
  /** How the word's script ended, each time that it ran on one of these. */
  async function runsOf(word: string, on: readonly (ClusterNodeRow | undefined)[] = nodes): Promise<number[]> {
    const all = await Promise.all(on.map((node) => bench.center.world.guestRuns(String(node?.machine_id))));
    return all.flat().filter((run) => run.script.startsWith(`echo ${word}`)).map((run) => run.exitCode);
  }
  const says = (word: string, exitCode: number, machineId?: string) =>
    bench.center.world.onGuestRun({ pattern: `^echo ${word}`, exitCode, ...(machineId === undefined ? {} : { machineId }) });
  const ended = async (id: string, state: string): Promise<void> => {
    expect(await bench.center.ended(id, 30_000)).toMatchObject({ state });
  };
  /** An operation whose script has run on this node, which has answered nothing since. */
  async function silenced(node: ClusterNodeRow | undefined, word: string, way: Input['way'] = 'EACH'): Promise<string> {
    const call = { method: 'runInGuest', resourceId: String(node?.machine_id), keyContains: '-spec-' };
    await bench.center.world.addFault({ ...call, kind: FaultKind.LOST_ANSWER });
    await bench.center.world.addFault({ ...call, kind: FaultKind.UNAVAILABLE, times: 1000 });
    const id = await started(way, word);
    await expect.poll(() => runsOf(word, [node]), { timeout: 10_000 }).toEqual([0]);
    return id;
  }
  const roundsInVain = async (): Promise<number> =>
    (await bench.center.world.faults()).find((fault) => fault.kind === FaultKind.UNAVAILABLE)?.fired ?? 0;
  const times = (count: number, exitCode: number): number[] => Array.from({ length: count }, () => exitCode);

  it('run anew when an operator retries, as often as at first, and those that did well do not', async () => {
    const [bad, ...good] = nodes;
    await says('hello', 1, bad?.machine_id);
    // One whose answer is lost is found again.
    await bench.center.world.addFault({ kind: FaultKind.LOST_ANSWER, method: 'runInGuest', resourceId: String(good[0]?.machine_id), keyContains: '-spec-' });
    const id = await started('EACH', 'hello');
    await ended(id, 'STUCK');
    expect(await runsOf('hello', [bad])).toEqual(times(MAX_FAILURES + 1, 1));
    await bench.center.operations.retry(id);
    await ended(id, 'STUCK');
    expect(await runsOf('hello', [bad])).toEqual(times(2 * (MAX_FAILURES + 1), 1));
    await says('hello', 0, bad?.machine_id);
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect(await runsOf('hello', [bad])).toEqual([...times(2 * (MAX_FAILURES + 1), 1), 0]);
    expect(await runsOf('hello', good)).toEqual(times(good.length, 0));
  }, 60_000);

  it('run anew on one of the control nodes', async () => {
    await says('ahoy', 1);
    const id = await started('ONE', 'ahoy');
    await ended(id, 'STUCK');
    expect(await runsOf('ahoy')).toEqual(times(MAX_FAILURES + 1, 1));
    await says('ahoy', 0);
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect((await runsOf('ahoy')).toSorted((one, other) => one - other)).toEqual([0, ...times(MAX_FAILURES + 1, 1)]);
  }, 60_000);

  it('run anew for the member that was at hand, not for those that were dealt with', async () => {
    const [first, second] = nodes.filter((node) => node.role === 'WORKER');
    await says(`servus ${second?.name}`, 1);
    const id = await started('MEMBERS', 'servus');
    await ended(id, 'STUCK');
    await says(`servus ${second?.name}`, 0);
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect(await runsOf(`servus ${first?.name}`)).toEqual([0]);
    expect((await runsOf(`servus ${second?.name}`)).toSorted((one, other) => one - other)).toEqual([0, ...times(MAX_FAILURES + 1, 1)]);
  }, 60_000);

  it('run anew when the one that was under way has become another by an upgrade', async () => {
    const [first] = nodes;
    const id = await silenced(first, 'moin');
    editions.set(String(first?.machine_id), SECOND);
    // The round that is under way may be of the first edition still; the one after it is not.
    const rounds = await roundsInVain();
    await expect.poll(roundsInVain, { timeout: 10_000 }).toBeGreaterThanOrEqual(rounds + 2);
    await bench.center.world.clearFaults();
    await ended(id, 'STUCK');
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect(await runsOf('moin', [first])).toEqual([0, 0]);
  }, 60_000);

  it('cost one more retry where a node did not tell yet that its own has become another, too', async () => {
    const [silent, ...others] = nodes;
    const id = await silenced(silent, 'tach');
    for (const { machine_id: machineId } of nodes) editions.set(machineId, SECOND);
    await ended(id, 'STUCK');
    await bench.center.world.clearFaults();
    // What may still be running on the silent one is asked for again before it is run anew.
    await bench.center.operations.retry(id);
    await ended(id, 'STUCK');
    expect(await runsOf('tach', [silent])).toEqual([0]);
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect(await runsOf('tach', [silent])).toEqual([0, 0]);
    expect(await runsOf('tach', others)).toEqual(times(2 * others.length, 0));
  }, 60_000);

  it('are asked for again on a control node while they may be running there, and left for the next once they cannot be', async () => {
    const [first, second] = nodes.filter((node) => node.role === 'CONTROL');
    const id = await silenced(first, 'hej', 'ONE');
    editions.set(String(first?.machine_id), SECOND);
    const rounds = await roundsInVain();
    await expect.poll(roundsInVain, { timeout: 10_000 }).toBeGreaterThanOrEqual(rounds + 2);
    await bench.center.world.clearFaults();
    await ended(id, 'STUCK');
    await bench.center.operations.retry(id);
    await ended(id, 'STUCK');
    expect(await runsOf('hej')).toEqual([0]);
    await bench.room.database.transaction((transaction) => transaction.execute(begunLongAgo, id));
    await bench.center.operations.retry(id);
    await ended(id, 'SUCCEEDED');
    expect(await runsOf('hej', [second])).toEqual([0]);
  }, 60_000);

  it('are run by another control node where the first is stopped, or gone', async () => {
    const [stopped, gone, well] = nodes.filter((node) => node.role === 'CONTROL');
    const [{ backend_id: backendId }] = [await bench.machine(stopped?.machine_id)];
    const { compute } = await bench.center.drivers.driver(String(backendId));
    const call = (key: string) => ({ idempotencyKey: key, timeoutMs: 5000, signal: AbortSignal.timeout(5000) });
    await compute.stopMachine(call('stop'), String(stopped?.machine_id), true);
    await ended(await started('ONE', 'hola'), 'SUCCEEDED');
    expect(await runsOf('hola', [gone])).toEqual([0]);
    await compute.stopMachine(call('stop-other'), String(gone?.machine_id), true);
    await compute.deleteMachine(call('delete'), String(gone?.machine_id));
    await ended(await started('ONE', 'salut'), 'SUCCEEDED');
    expect(await runsOf('salut', [well])).toEqual([0]);
    await compute.startMachine(call('start'), String(stopped?.machine_id));
    expect(await runsOf('salut', [stopped])).toEqual([]);
  }, 60_000);
});
