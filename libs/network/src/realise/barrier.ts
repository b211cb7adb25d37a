import { createHash } from 'node:crypto';
import type { NetworkDriver } from '#drivers';
import { markHostsBehind } from '#infrastructure';
import { done, wait, type StepDone } from '#operations';
import { settleHosts } from './outcomes.js';
import { TOLD_AGAIN, type AnyContext, type Answer } from './places.js';

/** A part whose hosts are asked whether they have it. */
export interface AskedPart {
  partId: string;
  backendId: string;
}

const BEHIND = 'It did not answer when its network was told something; it is asked again when it is back.';

/**
 * Waits until the live hosts have these parts. Dead ones are not waited for: the step tells them, and they are marked, so
 * that they are asked when they are back.
 * @param told what the step has told the backends before; a repeat that has told something else asks anew
 */
export async function hostsHave(
  context: AnyContext,
  parts: readonly AskedPart[],
  network: (backendId: string) => Promise<NetworkDriver>,
  blocker: string,
  told = '',
): Promise<Answer> {
  // Also one whose backend had lost something that was told again.
  const question = createHash('sha256').update(`${context.step.memo === TOLD_AGAIN}/${told}`).digest('base64url').slice(0, 16);
  const byBackend = await Promise.all(
    [...Map.groupBy(parts, (part) => part.backendId)].map(async ([backendId, asked]) => {
      const driver = await network(backendId);
      return { backendId, ...(await settleHosts(asked.map(({ partId }) => driver.realised(context.call(`${partId}/${backendId}/realised/${question}`), partId)))) };
    }),
  );
  const waits = byBackend.flatMap(({ again }) => (again === null ? [] : [again]));
  if (waits.length > 0) return wait({ afterMs: Math.min(...waits), blocker });
  // In the order of locks.
  const behind = byBackend.filter(({ pending }) => pending.length > 0).toSorted((one, other) => (one.backendId < other.backendId ? -1 : 1));
  const names = behind.flatMap(({ pending }) => pending);
  if (names.length === 0) return done();
  context.log.warn({ operationId: context.operation.id, hosts: names }, 'hosts that do not answer have not taken over the network; they are asked when they are back');
  // Whose hosts they are is told to operators only.
  const proof = { pendingHosts: names.length, ...(context.operation.tenantId === null ? { pendingHostNames: names } : {}) };
  return done({
    output: { proof },
    commit: async (transaction) => {
      for (const { backendId, pending } of behind) await transaction.execute(markHostsBehind, backendId, pending, BEHIND);
    },
  });
}

/** What a step has come to whose hosts were asked: with what is to be told of them. Hosts come first in the order of locks. */
export function afterBarrier(barrier: StepDone, commit: NonNullable<StepDone['commit']>): StepDone {
  return {
    ...barrier,
    commit: async (transaction, apply) => {
      await barrier.commit?.(transaction, apply);
      await commit(transaction, apply);
    },
  };
}
