import { z } from 'zod';
import { notFound } from '#core';
import { statement, type Reader, type Transaction } from '#database';
import { defineOperation, done, fanOut, keep, wait, type OperationKind, type StepContext, type StepResult } from '#operations';
import type { HostOccupancy } from './host-occupants.js';
import type { HostRow } from './host.js';
import { findHosts } from './host.sql.js';

export const ENTER_MAINTENANCE = 'infrastructure.host.enter_maintenance';
/** Machines that one maintenance moves; more are moved away by hand first. */
export const MAX_MOVES = 500;

const DAY_MS = 86_400_000;
const LOOK_AGAIN_MS = 15_000;

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

/** The operations of this room, for every process that submits or runs them. */
export function hostOperations(occupancy: HostOccupancy): OperationKind<unknown>[] {
  const evacuate = async (context: StepContext<Input>): Promise<StepResult> => {
    const host = await hostOf(context.reader, context.operation.input.hostId);
    const found = await occupancy.list(context.reader, host, MAX_MOVES);
    const movable = found.filter(({ occupant }) => occupant.blocked === null);
    if (movable.length === 0) return done();
    const children = [];
    for (const { room, occupant } of movable) children.push(await room.move(context.reader, host, occupant));
    // Whatever cannot leave is waited for in the next step, by name.
    return fanOut({ children, policy: keep(0) });
  };
  const awaitEmpty = async (context: StepContext<Input>): Promise<StepResult> => {
    const host = await hostOf(context.reader, context.operation.input.hostId);
    const left = await occupancy.list(context.reader, host, 20);
    const [first] = left;
    if (first === undefined) return done();
    const count = await occupancy.count(context.reader, host);
    const { name, kind, blocked } = first.occupant;
    return wait({
      afterMs: LOOK_AGAIN_MS,
      signal: `host-empty:${host.id}`,
      blocker: {
        code: blocked?.code ?? 'INVALID_STATE',
        message: `${count} still on the host, the first of them the ${kind} "${name}"${blocked === null ? '' : `: ${blocked.message}`}`,
        fault: blocked?.fault ?? 'OPERATOR',
        remedy: 'Move or delete what is left, or cancel the maintenance.',
        data: { count, ids: left.map(({ occupant }) => occupant.resourceId) },
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
