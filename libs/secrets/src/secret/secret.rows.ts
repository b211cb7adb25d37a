import type { RowChange, Transaction } from '#database';
import type { SealedSecret } from './secret.js';
import { removeSecretsOfOwners } from './secret.sql.js';

/** A sealed secret as a row of a change set, for commands that bring one; what a stored plan keeps of it is encrypted. */
export function sealedSecretRow(sealed: SealedSecret): RowChange {
  return {
    table: 'secret',
    insert: {
      id: sealed.id,
      owner_id: sealed.ownerId,
      tenant_id: sealed.tenantId,
      project_id: sealed.projectId,
      purpose: sealed.purpose,
      key_id: sealed.keyId,
      // PostgreSQL's own text form of bytea.
      wrapped_key: `\\x${sealed.wrappedKey.toString('hex')}`,
      ciphertext: `\\x${sealed.ciphertext.toString('hex')}`,
    },
  };
}

/** As `SecretService.removeOwnedBy`, for whoever has no keys: removing takes none. */
export async function removeSecretsOwnedBy(transaction: Transaction, ownerIds: readonly string[]): Promise<number> {
  return ownerIds.length === 0 ? 0 : transaction.execute(removeSecretsOfOwners, [...ownerIds]);
}
