import { assert, defineId, MuonError } from '#core';
import type { ChangeSetApplier, Section, Transaction } from '#database';
import { addMembership, removeMembership, replaceMemberships } from './group.sql.js';
import { applyHoldings, HOLDINGS } from '../access/holdings.js';

export const groupId = defineId('grp');

/** Somebody who comes into a group that is kept by hand, or leaves it. */
export interface MembershipChange {
  groupId: string;
  principalId: string;
  member: boolean;
}

export const MEMBERSHIPS: Section<MembershipChange> = { name: 'memberships' };

export function registerIdentitySections(applier: ChangeSetApplier): void {
  applier.register(HOLDINGS, applyHoldings);
  applier.register(MEMBERSHIPS, applyMemberships);
}

async function applyMemberships(transaction: Transaction, items: readonly MembershipChange[]): Promise<void> {
  for (const { groupId: group, principalId, member } of items) {
    const changed = await transaction.execute(member ? addMembership : removeMembership, group, principalId);
    if (changed === 1) continue;
    throw new MuonError('CONFLICT', member ? 'The principal belongs to the group already.' : 'The principal does not belong to the group.', {
      field: 'input.principalId',
    });
  }
}

/**
 * Makes these the groups that a principal belongs to by the claims of its issuer; memberships that are kept by hand stay.
 * The sign-in calls it with what a token says.
 * @param groupIds groups that have an issuer and lie where the principal may hold roles
 */
export async function setGroupMemberships(transaction: Transaction, principalId: string, groupIds: readonly string[]): Promise<void> {
  const ids = [...new Set(groupIds)].sort();
  const row = await transaction.first(replaceMemberships, principalId, ids);
  assert(row?.fitting === ids.length, `the principal ${principalId} cannot belong to all of ${ids.join(', ')}`);
}
