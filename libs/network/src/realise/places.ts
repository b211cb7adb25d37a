import { MuonError } from '#core';
import type { NetworkDriver } from '#drivers';
import { wait, type StepContext, type StepDone, type StepWait } from '#operations';
import { markNetworkBehind } from '../network/network.sql.js';
import { markRoutersOfNetworksBehind } from '../router/router.sql.js';
import { findGroupsOfPorts, markGroupsBehind, raiseRevisionOfMembers } from '../security-group/security-group.sql.js';

/** What the parts of realising share. */

export type AnyContext = StepContext<unknown>;
export type Answer = StepDone | StepWait;
export type Removal = 'removeNetwork' | 'removePort' | 'removeLoadBalancer' | 'removeExternalNetwork' | 'removeProviderRouter' | 'removeRouter' | 'removeFloatingIp' | 'removeSecurityGroup';

export interface RemoveOptions {
  /** For undos, whose calls may still be on their way: look again after the settling time. Uses the step's memo. */
  settle?: boolean;
}

/** One network on one backend. */
export interface Place {
  networkId: string;
  backendId: string;
}

/** What whoever realises something that builds on networks needs of them. */
export interface RealisedNetworks {
  network(backendId: string): Promise<NetworkDriver>;
  ensureAt(context: AnyContext, places: readonly Place[]): Promise<Answer>;
  ensurePorts(context: AnyContext, portIds: readonly string[], options?: { force?: boolean }): Promise<Answer>;
  ensureLoadBalancers(context: AnyContext, loadBalancerIds: readonly string[], options?: { force?: boolean }): Promise<Answer>;
  /** @param told as of `hostsHave` */
  realised(context: AnyContext, places: readonly Place[], told?: string): Promise<Answer>;
  remove(context: AnyContext, parts: readonly { id: string; backendId: string }[], method: Removal, options: RemoveOptions): Promise<Answer>;
}

/** The memo of a step whose backend has lost what it builds on, once that was told again. */
export const TOLD_AGAIN = 'network told again';

/** The backend has lost networks that it was known to have, or groups of these ports: they are made again before the step goes on. */
export function forget(places: readonly Place[], portIds: readonly string[] = []): StepWait {
  return wait({
    afterMs: 0,
    blocker: 'The backend has lost the network; it is told again.',
    memo: TOLD_AGAIN,
    commit: async (transaction) => {
      for (const place of places) {
        await transaction.execute(markNetworkBehind, [place.networkId], place.backendId);
        await transaction.execute(markRoutersOfNetworksBehind, [place.networkId], place.backendId);
      }
      const groups = portIds.length === 0 ? [] : (await transaction.rows(findGroupsOfPorts, [...portIds])).map((row) => row.security_group_id);
      if (groups.length === 0) return;
      for (const backendId of new Set(places.map((place) => place.backendId))) {
        await transaction.execute(markGroupsBehind, groups, backendId);
        await transaction.execute(raiseRevisionOfMembers, groups, backendId);
      }
    },
  });
}

export function keyOf(place: Place): string {
  return `${place.networkId}/${place.backendId}`;
}

export function distinct(places: readonly Place[]): Place[] {
  return [...new Map(places.map((place) => [keyOf(place), place])).values()];
}

export function at<Item>(list: readonly Item[], index: number): Item {
  const item = list[index];
  if (item === undefined) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: `no item ${index}` });
  return item;
}

/** For undos: nothing is put right on backends any more, as it is gone, or its deletion, which comes next, takes it away. */
export function isLeaving(row: { lifecycle: string } | undefined): boolean {
  return row === undefined || row.lifecycle === 'DELETING';
}

/** For commits of undos: what others have changed since it was looked at is looked at again; it is not the end. */
export async function lookingAgain(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const { code, message, data = {}, fault } = error;
    throw new MuonError(code, message, { data, fault, cause: error, retryable: true });
  }
}

/** For undos, of what was given up at admission: why it is not to be had again, for people; null when it is. */
export async function whyLost(looking: Promise<unknown>): Promise<string | null> {
  try {
    await looking;
    return null;
  } catch (error) {
    if (isRefusal(error)) return error.message;
    throw error;
  }
}

const REFUSALS = new Set(['INVALID_INPUT', 'NOT_FOUND', 'INVALID_STATE', 'CONFLICT', 'UNSUPPORTED']);

function isRefusal(error: unknown): error is MuonError {
  return error instanceof MuonError && REFUSALS.has(error.code);
}

export function requireAll(noun: string, ids: readonly string[], rows: readonly { id: string; lifecycle: string }[]): void {
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const id of ids) {
    const row = byId.get(id);
    if (row !== undefined && row.lifecycle !== 'DELETING') continue;
    throw new MuonError('INVALID_STATE', `The ${noun} "${id}" is gone or on its way out.`);
  }
}
