import { z } from 'zod';
import { MuonError, notFound } from '#core';
import { statement, type Reader, type Transaction } from '#database';
import {
  AGAIN,
  defineOperation,
  done,
  fanOut,
  findFailedChildren,
  keep,
  signalOperations,
  wait,
  type BlockerReason,
  type ChildOperation,
  type OperationKind,
  type StepContext,
  type StepResult,
} from '#operations';
import { begun, boundedMove, EVACUATION_PACE, oneOfEach, remaining, triedOf, whatIsLeft, type EvacuationPace, type Tried } from './host-evacuation.js';
import type { HostOccupancy } from './host-occupants.js';
import type { HostRow } from './host.js';
import { findHosts } from './host.sql.js';

export const ENTER_MAINTENANCE = 'infrastructure.host.enter_maintenance';
/** Machines that one maintenance moves; more are moved away by hand first. */
export const MAX_MOVES = 500;

const DAY_MS = 86_400_000;

type Found = Awaited<ReturnType<HostOccupancy['list']>>[number];

const inputSchema = z.strictObject({
  hostId: z.string(),
  intentBefore: z.enum(['ENABLED', 'SUSPENDED', 'MAINTENANCE']),
  reasonBefore: z.string().nullable(),
});
type Input = z.output<typeof inputSchema>;

/** `vacant` is what is seen, so the version, which stands for what is wanted, stays. */
const markVacant = statement<never, [id: string]>(
  'host.mark_vacant',
  `UPDATE host SET vacant = true WHERE id = $1 AND intent = 'MAINTENANCE' AND NOT vacant`,
);

const restoreIntent = statement<never, [id: string, intent: string, reason: string | null]>(
  'host.restore_intent',
  `UPDATE host SET intent = $2, intent_reason = $3, vacant = false, version = version + 1 WHERE id = $1 AND intent = 'MAINTENANCE'`,
);

async function hostOf(reader: Reader, id: string): Promise<HostRow> {
  const [host] = await reader.rows(findHosts, [id]);
  if (host === undefined) throw notFound('host', id);
  return host;
}

/** What the rounds before have tried; those of the first have ended when the step begins. */
function triedBefore({ step, outputs }: StepContext<Input>): Tried {
  if (step.memo !== undefined) return step.memo as unknown as Tried;
  const { children = [] } = (outputs.evacuate ?? {}) as { children?: { resourceId: string }[] };
  return Object.fromEntries(children.map(({ resourceId }) => [resourceId, { times: 0, at: null }]));
}

/** Whoever waits for the host to become empty looks at it at once: something has left it, or may have become free to leave. */
export async function signalHostOccupants(transaction: Transaction, hostId: string): Promise<void> {
  await signalOperations(transaction, [occupantsSignal(hostId)]);
}

function notEmptyInTime({ message, fault, code, data }: BlockerReason, patienceMs: number): MuonError {
  return new MuonError('TIMEOUT', `The host has not become empty in time: ${message}`, {
    fault,
    retryable: false,
    data: { ...data, waitedFor: code, givenUpAfterMs: patienceMs },
  });
}

const occupantsSignal = (hostId: string): string => `host-empty:${hostId}`;

/** The operations of this room, for every process that submits or runs them. */
export function hostOperations(occupancy: HostOccupancy, pace: EvacuationPace = EVACUATION_PACE): OperationKind<unknown>[] {
  const movesOf = async ({ reader }: StepContext<Input>, host: HostRow, found: readonly Found[]): Promise<ChildOperation[]> => {
    const children: ChildOperation[] = [];
    for (const { room, occupant } of found) children.push(await room.move(reader, host, occupant));
    return children;
  };
  const evacuate = async (context: StepContext<Input>): Promise<StepResult> => {
    const host = await hostOf(context.reader, context.operation.input.hostId);
    const found = await occupancy.list(context.reader, host, MAX_MOVES);
    const movable = oneOfEach(found.filter(({ occupant }) => occupant.blocked === null));
    if (movable.length === 0) return done();
    // Whatever cannot leave, or not yet, is left to the next step.
    return fanOut({ children: await movesOf(context, host, movable), policy: keep(0) });
  };
  const awaitEmpty = async (context: StepContext<Input>): Promise<StepResult> => {
    const { operation, reader, step } = context;
    const host = await hostOf(reader, operation.input.hostId);
    const found = await occupancy.list(reader, host, MAX_MOVES);
    if (found.length === 0) return done();
    const now = Date.now();
    const before = triedBefore(context);
    const latest = await reader.rows(findFailedChildren, operation.id, Object.keys(before));
    const tried = triedOf(found, before, latest, now);
    const left = remaining(found, tried, latest, pace, now);
    const due = oneOfEach(left.filter(({ standing }) => standing === 'DUE'));
    // The time of its moves does not count against the operation's own deadline.
    const isTooLate = now - step.since.getTime() >= pace.patienceMs;
    if (due.length > 0 && !isTooLate) {
      const moves = await movesOf(context, host, due);
      const children = moves.map((move, index) => boundedMove(move, due[index]?.times ?? 0, pace));
      return fanOut({ children, policy: AGAIN, memo: begun(tried, due) });
    }
    const blocker = whatIsLeft(left, await occupancy.count(reader, host));
    if (isTooLate) throw notEmptyInTime(blocker, pace.patienceMs);
    return wait({ afterMs: pace.lookAgainMs, signal: occupantsSignal(host.id), memo: tried, blocker });
  };
  const restore = async (transaction: Transaction, { input }: { input: Input }): Promise<void> => {
    await transaction.execute(restoreIntent, input.hostId, input.intentBefore, input.reasonBefore);
  };
  const enter = defineOperation<Input>({
    kind: ENTER_MAINTENANCE,
    version: 1,
    input: inputSchema,
    deadlineMs: DAY_MS,
    steps: [
      { name: 'evacuate', run: evacuate },
      { name: 'await-empty', run: awaitEmpty },
    ],
    async onSucceeded(transaction, context) {
      await transaction.execute(markVacant, context.operation.input.hostId);
    },
    // Machines that have left stay where they are: nobody is harmed by that.
    onFailed: (transaction, context) => restore(transaction, context.operation),
  });
  return [enter as OperationKind<unknown>];
}
