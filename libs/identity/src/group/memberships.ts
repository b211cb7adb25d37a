import { assert, defineId } from '#core';
import type { Transaction } from '#database';
import { replaceMemberships } from './group.sql.js';

export const groupId = defineId('grp');

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
