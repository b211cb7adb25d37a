import { defineId, MuonError } from '#core';
import type { Database } from '#database';
import { SYSTEM_SCOPE_ID } from '#scopes';
import { insertBootstrapBinding, insertBootstrapOwner, insertBootstrapToken } from './principal.sql.js';
import { readToken } from './token.js';

export const principalId = defineId('pri');
export const roleBindingId = defineId('rbd');

/**
 * Makes the first owner of the system with the token that the operator put into a file; repeating it changes nothing,
 * and another token replaces the first.
 * @param token `muon_<26 letters>_<43 letters>`, as `muon token generate` prints one
 */
export async function bootstrapOwner(database: Database, token: string): Promise<void> {
  const read = readToken(token);
  if (read === undefined) {
    throw new MuonError('INVALID_INPUT', 'The bootstrap token is not of the form that "muon token generate" prints.');
  }
  await database.transaction(async (transaction) => {
    const owner = await transaction.first(insertBootstrapOwner, principalId.create(), SYSTEM_SCOPE_ID);
    if (owner === undefined) throw new MuonError('CONFLICT', 'The first owner is being made by another process.');
    await transaction.execute(insertBootstrapBinding, roleBindingId.create(), owner.id, SYSTEM_SCOPE_ID);
    await transaction.execute(insertBootstrapToken, read.id, owner.id, read.secretHash);
  });
}
