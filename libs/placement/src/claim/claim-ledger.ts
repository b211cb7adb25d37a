import { LostRace, type Statement, type Transaction } from '#database';
import { allInOrder, assert } from '#core';
import type { ClaimRow } from './claim.sql.js';

/** A change of claims, whatever is claimed: `holder` is the host or datastore, amounts come in the ledger's order. */
export type ClaimChange =
  | { action: 'CLAIM'; resourceId: string; holderId: string; tenantId: string; projectId: string; amounts: number[]; offer?: string | undefined }
  | { action: 'RELEASE'; resourceId: string }
  | { action: 'MOVE'; resourceId: string; holderId: string }
  | { action: 'SETTLE'; resourceId: string; holderId: string }
  | { action: 'RESIZE'; resourceId: string; amounts: number[] };

export interface LedgerStatements {
  /** `host` or `datastore`, for the fact of a lost race. */
  noun: string;
  lock: Statement<{ id: string }, [ids: string[]]>;
  find: Statement<ClaimRow, [resourceIds: string[]]>;
  adjust: Statement<{ id: string }, [changes: string]>;
  insert: Statement<never, [claims: string]>;
  copy: Statement<never, [claims: string]>;
  resize: Statement<never, [claims: string]>;
  remove: Statement<never, [claims: string]>;
}

interface Delta {
  id: string;
  amounts: number[];
  /** Somebody comes who was not there before. */
  newcomers: boolean;
  /** What the holder must still offer; absent when anything will do. */
  offer?: string | undefined;
}

interface Writes {
  insert: Record<string, unknown>[];
  copy: ClaimRow[];
  resize: ClaimRow[];
  remove: ClaimRow[];
}

/**
 * Applies changes of claims: any number by a handful of statements. Holders are locked in the order of their ids, then
 * take their sums by one guarded update that checks state and room again, so that what is claimed never exceeds the limit.
 * @throws LostRace when a holder has no room any more, is not active any more, or is gone
 */
export async function applyClaims(
  transaction: Transaction,
  statements: LedgerStatements,
  changes: readonly ClaimChange[],
): Promise<void> {
  if (changes.length === 0) return;
  // New claims rest on nothing that has to be read under the locks: all that they need is sent at once.
  const areNew = changes.every((change) => change.action === 'CLAIM');
  const locking = areNew ? lockHolders(transaction, statements, changes) : undefined;
  const existing = areNew ? new Map<string, ClaimRow[]>() : await lockInvolved(transaction, statements, changes);
  const { deltas, writes } = settleUp(changes, existing);
  const writing = (Object.entries(writes) as [keyof Writes, unknown[]][]).filter(([, rows]) => rows.length > 0);
  await allInOrder([
    locking,
    adjustHolders(transaction, statements, [...deltas.values()]),
    ...writing.map(([name, rows]) => transaction.execute(statements[name], JSON.stringify(rows))),
  ]);
}

/** @throws LostRace */
async function adjustHolders(transaction: Transaction, statements: LedgerStatements, deltas: readonly Delta[]): Promise<void> {
  const wanted = deltas.filter((delta) => delta.newcomers || delta.amounts.some((amount) => amount !== 0));
  if (wanted.length === 0) return;
  const taken = new Set((await transaction.rows(statements.adjust, JSON.stringify(wanted))).map((row) => row.id));
  const lost = wanted.find((delta) => !taken.has(delta.id));
  if (lost !== undefined) throw new LostRace(`${statements.noun} ${lost.id}`, `no room, not active or not as it was: ${JSON.stringify(lost)}`);
}

/** Those that are claimed anew, in their order. A single one has no order to keep: its guarded update locks it. */
async function lockHolders(transaction: Transaction, statements: LedgerStatements, changes: readonly ClaimChange[]): Promise<void> {
  const holders = new Set(changes.flatMap((change) => ('holderId' in change ? [change.holderId] : [])));
  if (holders.size > 1) await transaction.rows(statements.lock, [...holders]);
}

/** Locks all holders that are or will be involved, and returns the claims that are there now. */
async function lockInvolved(
  transaction: Transaction,
  statements: LedgerStatements,
  changes: readonly ClaimChange[],
): Promise<Map<string, ClaimRow[]>> {
  const holders = new Set(changes.flatMap((change) => ('holderId' in change ? [change.holderId] : [])));
  const known = changes.filter((change) => change.action !== 'CLAIM').map((change) => change.resourceId);
  const before = await transaction.rows(statements.find, known);
  for (const claim of before) holders.add(claim.holder_id);
  const [, now] = await allInOrder([transaction.rows(statements.lock, [...holders]), transaction.rows(statements.find, known)]);
  const found = new Map<string, ClaimRow[]>();
  for (const claim of now) {
    if (!holders.has(claim.holder_id)) throw new LostRace(`${statements.noun} ${claim.holder_id}`, 'a claim moved while it was changed');
    const list = found.get(claim.resource_id);
    if (list === undefined) found.set(claim.resource_id, [claim]);
    else list.push(claim);
  }
  return found;
}

function settleUp(
  changes: readonly ClaimChange[],
  existing: ReadonlyMap<string, ClaimRow[]>,
): { deltas: Map<string, Delta>; writes: Writes } {
  const deltas = new Map<string, Delta>();
  const writes: Writes = { remove: [], insert: [], copy: [], resize: [] };
  const add = (id: string, amounts: readonly number[], sign: 1 | -1, newcomer: boolean, offer?: string): void => {
    const delta = deltas.get(id) ?? { id, amounts: amounts.map(() => 0), newcomers: false };
    delta.amounts = delta.amounts.map((amount, index) => amount + sign * (amounts[index] ?? 0));
    delta.newcomers ||= newcomer;
    delta.offer ??= offer;
    deltas.set(id, delta);
  };
  for (const change of changes) {
    const claims = existing.get(change.resourceId) ?? [];
    if (change.action === 'CLAIM') {
      add(change.holderId, change.amounts, 1, true, change.offer);
      writes.insert.push({
        resource_id: change.resourceId,
        holder_id: change.holderId,
        tenant_id: change.tenantId,
        project_id: change.projectId,
        amounts: change.amounts,
      });
    } else if (change.action === 'MOVE') {
      const [first] = claims;
      assert(first !== undefined, `${change.resourceId} moves but has no claim`);
      if (claims.some((claim) => claim.holder_id === change.holderId)) continue;
      add(change.holderId, first.amounts, 1, true);
      writes.copy.push({ resource_id: change.resourceId, holder_id: change.holderId, amounts: first.amounts });
    } else if (change.action === 'RESIZE') {
      for (const claim of claims) {
        add(claim.holder_id, claim.amounts, -1, false);
        add(claim.holder_id, change.amounts, 1, false);
        writes.resize.push({ ...claim, amounts: change.amounts });
      }
    } else {
      const keep = change.action === 'SETTLE' ? change.holderId : undefined;
      for (const claim of claims) {
        if (claim.holder_id === keep) continue;
        add(claim.holder_id, claim.amounts, -1, false);
        writes.remove.push(claim);
      }
    }
  }
  return { deltas, writes };
}
