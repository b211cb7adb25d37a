import { z } from 'zod';
import { notFound } from '#core';
import { statement, type Reader, type Transaction } from '#database';
import {
  AGAIN,
  defineOperation,
  done,
  fanOut,
  keep,
  signalOperations,
  wait,
  type ChildOperation,
  type OperationKind,
  type StepContext,
  type StepResult,
} from '#operations';
import type { HostOccupancy } from './host-occupants.js';
import type { HostRow } from './host.js';
import { findHosts } from './host.sql.js';

export const ENTER_MAINTENANCE = 'infrastructure.host.enter_maintenance';
/** Machines that one maintenance moves; more are moved away by hand first. */
export const MAX_MOVES = 500;

const DAY_MS = 86_400_000;
const LOOK_AGAIN_MS = 15_000;
/** A move that fails is tried again ever later, up to this. */
const MAX_MOVE_AGAIN_MS = 1_800_000;
/** How many of what is left a blocker names. */
const MAX_NAMED = 20;

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

/** Moves that have failed, by what they were to move: how often, and when the last was begun. */
type Failed = Record<string, { times: number; at: number }>;

/** Those that were tried in the first round have failed once, if they are still there. */
function failedBefore({ step, outputs }: StepContext<Input>): Failed {
  if (step.memo !== undefined) return step.memo as unknown as Failed;
  const { children = [] } = (outputs.evacuate ?? {}) as { children?: { resourceId: string }[] };
  return Object.fromEntries(children.map(({ resourceId }) => [resourceId, { times: 1, at: step.since.getTime() }]));
}

function isDue(failed: Failed[string] | undefined): boolean {
  return failed === undefined || Date.now() >= failed.at + Math.min(LOOK_AGAIN_MS * 2 ** failed.times, MAX_MOVE_AGAIN_MS);
}

/** Whoever waits for the host to become empty looks at it at once: something has left it, or may have become free to leave. */
export async function signalHostOccupants(transaction: Transaction, hostId: string): Promise<void> {
  await signalOperations(transaction, [occupantsSignal(hostId)]);
}

const occupantsSignal = (hostId: string): string => `host-empty:${hostId}`;

/** The operations of this room, for every process that submits or runs them. */
export function hostOperations(occupancy: HostOccupancy): OperationKind<unknown>[] {
  const movesOf = async ({ reader }: StepContext<Input>, host: HostRow, found: readonly Found[]): Promise<ChildOperation[]> => {
    const children: ChildOperation[] = [];
    for (const { room, occupant } of found) children.push(await room.move(reader, host, occupant));
    return children;
  };
  const evacuate = async (context: StepContext<Input>): Promise<StepResult> => {
    const host = await hostOf(context.reader, context.operation.input.hostId);
    const found = await occupancy.list(context.reader, host, MAX_MOVES);
    const movable = found.filter(({ occupant }) => occupant.blocked === null);
    if (movable.length === 0) return done();
    // Whatever cannot leave is waited for in the next step, by name.
    return fanOut({ children: await movesOf(context, host, movable), policy: keep(0) });
  };
  const awaitEmpty = async (context: StepContext<Input>): Promise<StepResult> => {
    const host = await hostOf(context.reader, context.operation.input.hostId);
    const left = await occupancy.list(context.reader, host, MAX_MOVES);
    const [first] = left;
    if (first === undefined) return done();
    const before = failedBefore(context);
    const movable = left.filter(({ occupant }) => occupant.blocked === null);
    const due = movable.filter(({ occupant }) => isDue(before[occupant.resourceId]));
    // What was in the way of a move may be gone once the occupant was blocked by something else: then it counts anew.
    const failed: Failed = {};
    for (const { occupant } of movable) {
      const earlier = before[occupant.resourceId];
      if (earlier !== undefined) failed[occupant.resourceId] = earlier;
    }
    for (const { occupant } of due) {
      failed[occupant.resourceId] = { times: (before[occupant.resourceId]?.times ?? 0) + 1, at: Date.now() };
    }
    if (due.length > 0) return fanOut({ children: await movesOf(context, host, due), policy: AGAIN, memo: failed });
    const count = await occupancy.count(context.reader, host);
    const { name, kind, blocked } = first.occupant;
    return wait({
      afterMs: LOOK_AGAIN_MS,
      signal: occupantsSignal(host.id),
      memo: failed,
      blocker: {
        code: blocked?.code ?? 'INVALID_STATE',
        message: `${count} still on the host, the first of them the ${kind} "${name}"${blocked === null ? ', which could not be moved and is tried again' : `: ${blocked.message}`}`,
        fault: blocked?.fault ?? 'OPERATOR',
        remedy: 'Move or delete what is left, or cancel the maintenance.',
        data: { count, ids: left.slice(0, MAX_NAMED).map(({ occupant }) => occupant.resourceId) },
      },
    });
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
