import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError, sleep, toMuonError, type ErrorRecord } from '#core';
import { statement, type Reader } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { EVACUATION_PACE, findHosts, heldBack, hostOperations, hosts, hostState, infrastructureRoom, signalHostOccupants, type HostOccupants, type HostRow } from '#infrastructure';
import { defineOperation, done, OperationEngine, OperationRegistry, OperationService, operationsRoom, registerOperationSections, silentBell, type Blocker, type OperationKind } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';

/** Things that stand on hosts, with a table of their own, as a room above has them. */
const THINGS = `CREATE TABLE thing (id text PRIMARY KEY, host_id text NOT NULL, pinned boolean NOT NULL DEFAULT false, stubborn boolean NOT NULL DEFAULT false)`;

interface Thing {
  id: string;
  host_id: string;
  pinned: boolean;
}
const findThings = statement<Thing, [hostId: string, limit: number]>('spec.things', 'SELECT * FROM thing WHERE host_id = $1 ORDER BY id LIMIT $2::int');
const countThings = statement<{ things: number }, [hostId: string]>('spec.things_count', 'SELECT count(*) AS things FROM thing WHERE host_id = $1');
const moveThing = statement<never, [id: string, hostId: string]>('spec.things_move', 'UPDATE thing SET host_id = $2 WHERE id = $1 AND NOT stubborn');
const operationState = statement<{ state: string; blocker: Blocker | null; error: ErrorRecord | null; wake_signal: string | null }, [id: string]>(
  'spec.maintenance_operation',
  'SELECT state, blocker, error, wake_signal FROM operation WHERE id = $1',
);
interface Move {
  resource_id: string;
  state: string;
  queued_at: Date;
  ended_at: Date | null;
  deadline_ms: number;
}
const findMoves = statement<Move & { id: string }, [id: string]>(
  'spec.maintenance_each_move',
  'SELECT id, resource_id, state, queued_at, ended_at, deadline_ms FROM operation WHERE parent_id = $1 ORDER BY id',
);
const movesOf = statement<{ resource_id: string; moves: number }, [id: string]>(
  'spec.maintenance_moves',
  'SELECT resource_id, count(*) AS moves FROM operation WHERE parent_id = $1 GROUP BY resource_id',
);

/** What the next moves of a thing end in, one after the other. */
const moods = new Map<string, MuonError[]>();
/** How long a move takes that fails. */
const MOVE_MS = 300;
/** As in production, unless a spec is in a hurry. */
const pace = { ...EVACUATION_PACE };

let room: RoomDatabase;
let bench: InfrastructureBench;
let engine: OperationEngine;
let operations: OperationService;
let from: HostRow;
let to: HostRow;
const access = systemAccess();

const things: HostOccupants = {
  name: 'things',
  list: async (reader: Reader, host: HostRow, limit: number) =>
    (await reader.rows(findThings, host.id, limit)).map((thing) => ({
      resourceId: thing.id,
      kind: 'thing',
      name: `the ${thing.id}`,
      owner: /^of-(\w+)/.exec(thing.id)?.[1] ?? null,
      blocked: thing.pinned ? new MuonError('INVALID_STATE', 'It is bolted to the floor.', { fault: 'OPERATOR' }).toRecord() : null,
    })),
  count: async (reader, host) => (await reader.first(countThings, host.id))?.things ?? 0,
  move: async (_reader, _host, occupant) => ({
    kind: occupant.resourceId.startsWith('sinking') ? 'spec.thing.sink' : 'spec.thing.move',
    resourceKind: 'thing',
    resourceId: occupant.resourceId,
    input: { id: occupant.resourceId, to: to.id },
  }),
};

const move = defineOperation<{ id: string; to: string }>({
  kind: 'spec.thing.move',
  version: 1,
  input: z.object({ id: z.string(), to: z.string() }),
  deadlineMs: 10_000,
  steps: [
    {
      name: 'move',
      run: async ({ operation }) => {
        const mood = moods.get(operation.input.id)?.shift();
        if (mood !== undefined) throw mood;
        if (operation.input.id.startsWith('glued')) {
          await sleep(MOVE_MS);
          throw new MuonError('BACKEND_FAILED', 'It is glued to the floor.');
        }
        if (operation.input.id.startsWith('bulky')) throw new MuonError('INSUFFICIENT_CAPACITY', 'It fits nowhere.', { retryable: false });
        return done({ commit: async (transaction) => void (await transaction.execute(moveThing, operation.input.id, operation.input.to)) });
      },
    },
  ],
});
/** Has no way back, and none forward. */
const sink = defineOperation({
  kind: 'spec.thing.sink',
  version: 1,
  input: z.object({ id: z.string(), to: z.string() }),
  deadlineMs: 10_000,
  steps: [{ name: 'sink', pivot: true, run: () => Promise.reject(new MuonError('BACKEND_FAILED', 'It sinks into the floor.')) }],
});

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
  await room.database.transaction(async (transaction) => void (await transaction.raw(THINGS)));
  bench.occupancy.register(things);
  const registry = new OperationRegistry().register(...hostOperations(bench.occupancy, pace), move as OperationKind<unknown>, sink as OperationKind<unknown>);
  registerOperationSections(room.applier, { registry, bell: silentBell });
  const { database, applier, log } = room;
  operations = new OperationService(database, applier, registry, silentBell);
  engine = new OperationEngine({ database, registry, applier, bell: silentBell, log, sweepEveryMs: 20 });
  engine.start();
});
beforeEach(async () => {
  Object.assign(pace, EVACUATION_PACE);
  moods.clear();
  const { backendId } = await bench.datacenter({ count: 2, pools: [] });
  [from, to] = (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows as [HostRow, HostRow];
  await room.database.transaction(async (transaction) => void (await transaction.raw('DELETE FROM thing')));
});
afterAll(async () => {
  await engine.drain(2000);
  await bench.close();
  await room.close();
});

async function put(...ids: string[]): Promise<void> {
  await room.database.transaction(async (transaction) => {
    for (const id of ids) {
      await transaction.raw('INSERT INTO thing VALUES ($1, $2, $3, $4)', [id, from.id, id.startsWith('pinned'), id.startsWith('stubborn')]);
    }
  });
}

const state = async (): Promise<string> => hostState((await room.database.rows(findHosts, [from.id]))[0] as HostRow);
const left = async (): Promise<string[]> => (await room.database.rows(findThings, from.id, 100)).map((thing) => thing.id);
const operationOf = async (id: unknown) => room.database.first(operationState, id as string);
const says = async (id: unknown): Promise<string | undefined> => (await operationOf(id))?.blocker?.message;
const each = async (id: unknown) => room.database.rows(findMoves, id as string);
const ended = async (id: unknown, wanted: string): Promise<void> => {
  await expect.poll(async () => (await operationOf(id))?.state, { timeout: 10_000 }).toBe(wanted);
};

it('moves everything away, then is in maintenance, and comes back', async () => {
  await put('table', 'chair', 'lamp');
  const { result } = await bench.maintenance.enter(access, { id: from.id, reason: 'new fans' });
  expect(['ENTERING_MAINTENANCE', 'IN_MAINTENANCE']).toContain(await state());
  await ended(result.operationId, 'SUCCEEDED');
  expect(await left()).toEqual([]);
  expect(await state()).toBe('IN_MAINTENANCE');
  await expect(bench.maintenance.enter(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await expect(bench.hosts.suspend(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await bench.maintenance.exit(access, { id: from.id });
  expect(await state()).toBe('ACTIVE');
  await expect(bench.maintenance.exit(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
});

it('moves those of one owner one after the other, and the others beside them', async () => {
  Object.assign(pace, { lookAgainMs: 10 });
  await put('of-ann-1', 'of-ann-2', 'of-ann-3', 'of-bob', 'chair', 'lamp');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await ended(result.operationId, 'SUCCEEDED');
  expect(await left()).toEqual([]);
  const moves = await each(result.operationId);
  const rounds = [...Map.groupBy(moves, ({ queued_at: at }) => at.getTime()).entries()].sort(([one], [other]) => one - other);
  expect(rounds.map(([, round]) => round.map((one) => one.resource_id).sort())).toEqual([['chair', 'lamp', 'of-ann-1', 'of-bob'], ['of-ann-2'], ['of-ann-3']]);
});

it('does not let one of an owner that cannot be moved keep the others', async () => {
  Object.assign(pace, { lookAgainMs: 30, maxMoves: 2 });
  await put('of-ann-1', 'of-ann-2', 'stubborn-mule');
  await room.database.transaction(async (transaction) => void (await transaction.raw(`UPDATE thing SET stubborn = true WHERE id = 'of-ann-1'`)));
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(left, { timeout: 10_000 }).toEqual(['of-ann-1', 'stubborn-mule']);
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('lists what blocks it and does nothing; a dry run shows that as its problem', async () => {
  await put('chair', 'pinned-safe');
  const refusal = toMuonError(await bench.maintenance.enter(access, { id: from.id }).catch((error: unknown) => error));
  expect(refusal).toMatchObject({ code: 'INVALID_STATE', data: { blockedCount: 1 } });
  expect(refusal.data?.blocked).toMatchObject([{ id: 'pinned-safe', name: 'the pinned-safe', message: 'It is bolted to the floor.' }]);
  expect(await state()).toBe('ACTIVE');
  const { plan } = await bench.maintenance.enter(access, { id: from.id }, { dryRun: true });
  expect(plan?.changes.problems).toMatchObject([{ code: 'INVALID_STATE' }]);
  expect(plan?.changes.reasons[0]?.data).toEqual({ movable: 1, blocked: 1 });
  expect(await left()).toEqual(['chair', 'pinned-safe']);
});

it('waits for what is blocked when told to, says for what, and goes on when it has left', async () => {
  await put('chair', 'pinned-safe');
  const { result } = await bench.maintenance.enter(access, { id: from.id, whenBlocked: 'WAIT' });
  await expect.poll(async () => (await operationOf(result.operationId))?.blocker?.message, { timeout: 10_000 }).toContain(
    '1 still on the host, the first of them the thing "the pinned-safe": It is bolted to the floor.',
  );
  expect(await left()).toEqual(['pinned-safe']);
  expect(await state()).toBe('ENTERING_MAINTENANCE');
  await expect(bench.maintenance.exit(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await room.database.transaction(async (transaction) => {
    await transaction.execute(moveThing, 'pinned-safe', to.id);
    await signalHostOccupants(transaction, from.id);
  });
  await ended(result.operationId, 'SUCCEEDED');
  expect(await state()).toBe('IN_MAINTENANCE');
});

it('moves what can be moved since it waits, and does not try what has failed at every look', async () => {
  await put('pinned-safe', 'stubborn-mule');
  const { result } = await bench.maintenance.enter(access, { id: from.id, whenBlocked: 'WAIT' });
  const look = async (): Promise<void> => room.database.transaction((transaction) => signalHostOccupants(transaction, from.id));
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toContain('2 still on the host, the first of them the thing "the pinned-safe": It is bolted');
  await room.database.transaction(async (transaction) => void (await transaction.raw('UPDATE thing SET pinned = false')));
  await look();
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toContain('1 still on the host, the first of them the thing "the stubborn-mule", which could not be moved and is tried again');
  const moves = async (): Promise<Record<string, number>> => {
    const rows = await room.database.rows(movesOf, String(result.operationId));
    return Object.fromEntries(rows.map((row) => [row.resource_id, row.moves]));
  };
  expect(await moves()).toEqual({ 'pinned-safe': 1, 'stubborn-mule': 1 });
  for (let number = 0; number < 3; number += 1) {
    await look();
    await expect.poll(async () => (await operationOf(result.operationId))?.wake_signal, { timeout: 10_000 }).not.toBeNull();
  }
  expect(await moves()).toEqual({ 'pinned-safe': 1, 'stubborn-mule': 1 });
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('leaves a move that failed alone for ever longer after its end, then for good, and says why', async () => {
  // Shorter than a move takes: counted from its beginning, it would be over when the move ends.
  Object.assign(pace, { lookAgainMs: 30, maxPauseMs: 150, maxMoves: 4, repeatedMoveMs: 5000 });
  await put('glued-table');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toBe(
    '1 still on the host, the first of them the thing "the glued-table", which could not be moved in 4 tries and is not tried again: It is glued to the floor.',
  );
  const moves = await each(result.operationId);
  expect(moves.map((one) => [one.state, one.deadline_ms])).toEqual([['FAILED', 10_000], ['FAILED', 5000], ['FAILED', 5000], ['FAILED', 5000]]);
  const pauses = moves.slice(1).map((one, index) => one.queued_at.getTime() - (moves[index]?.ended_at?.getTime() ?? 0));
  expect(pauses.map((pause, index) => pause >= Math.min(30 * 2 ** (index + 1), 150))).toEqual([true, true, true]);
  expect(await operationOf(result.operationId)).toMatchObject({ blocker: { code: 'BACKEND_FAILED', data: { count: 1, ids: ['glued-table'], operationId: moves[3]?.id } } });
  // Several looks later.
  await sleep(300);
  expect(await each(result.operationId)).toHaveLength(4);
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('goes on trying what has no room elsewhere', async () => {
  Object.assign(pace, { lookAgainMs: 10, maxPauseMs: 20, maxMoves: 2 });
  await put('bulky-wardrobe');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(async () => (await each(result.operationId)).length, { timeout: 10_000 }).toBeGreaterThan(3);
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toBe(
    '1 still on the host, the first of them the thing "the bulky-wardrobe", which could not be moved and is tried again: It fits nowhere.',
  );
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

const noRoom = new MuonError('INSUFFICIENT_CAPACITY', 'It fits nowhere.', { retryable: false });
const kept = MuonError.fromRecord(heldBack(new MuonError('INVALID_STATE', 'Its owner sits on it.').toRecord()));
const broken = new MuonError('BACKEND_FAILED', 'A leg is broken.');

it('counts what went wrong, and neither want of room nor being held back after all', async () => {
  Object.assign(pace, { lookAgainMs: 10, maxPauseMs: 20, maxMoves: 2 });
  await put('fickle-chair');
  moods.set('fickle-chair', [noRoom, kept, noRoom, kept, broken, kept, noRoom, broken]);
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toBe(
    '1 still on the host, the first of them the thing "the fickle-chair", which could not be moved in 2 tries and is not tried again: A leg is broken.',
  );
  expect(await each(result.operationId)).toHaveLength(8);
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('takes what was held back after all for blocked, and does not try it again at once', async () => {
  await put('fickle-chair');
  moods.set('fickle-chair', [kept]);
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toBe('1 still on the host, the first of them the thing "the fickle-chair": Its owner sits on it.');
  await room.database.transaction((transaction) => signalHostOccupants(transaction, from.id));
  await expect.poll(async () => (await operationOf(result.operationId))?.wake_signal, { timeout: 10_000 }).not.toBeNull();
  expect(await each(result.operationId)).toHaveLength(1);
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('keeps in mind what failed while that is blocked by something else, and names first what will not leave by itself', async () => {
  await put('glued-table', 'pinned-safe');
  const { result } = await bench.maintenance.enter(access, { id: from.id, whenBlocked: 'WAIT' });
  const id = result.operationId;
  const pin = (pinned: boolean, thing: string): Promise<void> =>
    room.database.transaction(async (transaction) => {
      await transaction.raw('UPDATE thing SET pinned = $1 WHERE id = $2', [pinned, thing]);
      await signalHostOccupants(transaction, from.id);
    });
  await expect.poll(() => says(id), { timeout: 10_000 }).toContain('2 still on the host, the first of them the thing "the pinned-safe": It is bolted');
  await pin(true, 'glued-table');
  await expect.poll(() => says(id), { timeout: 10_000 }).toContain('the first of them the thing "the glued-table": It is bolted');
  await room.database.transaction(async (transaction) => void (await transaction.execute(moveThing, 'pinned-safe', to.id)));
  await pin(false, 'glued-table');
  await expect.poll(() => says(id), { timeout: 10_000 }).toBe(
    '1 still on the host, the first of them the thing "the glued-table", which could not be moved and is tried again: It is glued to the floor.',
  );
  expect(await each(id)).toHaveLength(1);
  await operations.cancel(id as string);
  await ended(id, 'CANCELLED');
});

it('does not move again by itself what an operator has abandoned the move of', async () => {
  Object.assign(pace, { lookAgainMs: 10 });
  await put('sinking-ship');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(async () => (await each(result.operationId))[0]?.state, { timeout: 10_000 }).toBe('STUCK');
  await operations.abandon(String((await each(result.operationId))[0]?.id), 'it has sunk');
  await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toBe(
    '1 still on the host, the first of them the thing "the sinking-ship", whose move was abandoned and is not tried again: It sinks into the floor.',
  );
  await sleep(200);
  expect(await each(result.operationId)).toHaveLength(1);
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
});

it('gives up when the host is not empty in time, however long its moves take, and leaves it as it was', async () => {
  Object.assign(pace, { lookAgainMs: 10, maxMoves: 100, patienceMs: 1000 });
  await put('glued-table');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await ended(result.operationId, 'FAILED');
  expect((await each(result.operationId)).length).toBeGreaterThan(2);
  const error = (await operationOf(result.operationId))?.error;
  expect(error).toMatchObject({ code: 'TIMEOUT', retryable: false, data: { count: 1, waitedFor: 'BACKEND_FAILED', givenUpAfterMs: 1000 } });
  expect(error?.message).toContain('The host has not become empty in time: 1 still on the host, the first of them the thing "the glued-table"');
  expect(await state()).toBe('ACTIVE');
});

it('leaves the host as it was when it is cancelled', async () => {
  await put('stubborn-mule', 'chair');
  await bench.hosts.suspend(access, { id: from.id, reason: 'noise' });
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect.poll(async () => (await operationOf(result.operationId))?.state, { timeout: 10_000 }).toBe('WAITING');
  await expect.poll(async () => (await operationOf(result.operationId))?.blocker?.message, { timeout: 10_000 }).toContain('the stubborn-mule');
  await operations.cancel(result.operationId as string);
  await ended(result.operationId, 'CANCELLED');
  expect((await room.database.rows(findHosts, [from.id]))[0]).toMatchObject({ intent: 'SUSPENDED', intent_reason: 'noise', vacant: false });
  expect(await left()).toEqual(['stubborn-mule']);
});

it('is not entered twice, and a host with something on it is not deregistered', async () => {
  await put('chair');
  const { result } = await bench.maintenance.enter(access, { id: from.id });
  await expect(bench.maintenance.enter(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await ended(result.operationId, 'SUCCEEDED');
  await put('late');
  await expect(bench.hosts.deregister(access, { id: from.id })).rejects.toMatchObject({ code: 'INVALID_STATE', data: { occupants: 1 } });
});
