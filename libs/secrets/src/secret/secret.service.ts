import { createSecretKey, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { MuonError, notFound } from '#core';
import type { Database, Reader, Transaction } from '#database';
import { KEY_PROVIDER, unwrapKey, wrapKey, type KeyProvider, type WrappedKey } from '../encryption/key-provider.js';
import { BrokenSealError, KEY_BYTES, seal, unseal } from '../encryption/sealed-box.js';
import { checkKeys, rotateSecrets, type KeyProblem, type RotationOptions, type RotationResult } from './secret.rotation.js';
import {
  associatedData,
  secretBytes,
  SecretId,
  SecretValue,
  type NewSecret,
  type SealedSecret,
  type SecretLookup,
  type SecretRef,
} from './secret.js';
import { removeSecretsOwnedBy } from './secret.rows.js';
import { findSecrets, insertSecrets, removeSecrets, type SecretRow } from './secret.sql.js';

/**
 * Keeps secrets by envelope encryption (DESIGN §11): each value under a data key of its own, that key wrapped by a
 * key-encryption key which never touches the database.
 */
@Injectable()
export class SecretService {
  constructor(@Inject(KEY_PROVIDER) private readonly keys: KeyProvider) {}

  /**
   * Encrypts without writing. With a key management service it must be called before the unit of work that keeps the
   * result; with keys from a file `put` alone is enough.
   * @throws INVALID_INPUT when the value is empty or larger than 64 KiB
   */
  async seal(secret: NewSecret): Promise<SealedSecret> {
    const value = secretBytes(secret.value);
    const id = SecretId.create();
    const context = associatedData(id, secret.ownerId);
    const dataKey = randomBytes(KEY_BYTES);
    try {
      const wrapped = await wrapKey(this.keys, dataKey, context);
      return {
        id,
        ownerId: secret.ownerId,
        tenantId: secret.tenantId,
        projectId: secret.projectId,
        purpose: secret.purpose,
        keyId: wrapped.keyId,
        wrappedKey: wrapped.bytes,
        ciphertext: seal(createSecretKey(dataKey), value, context),
      };
    } finally {
      dataKey.fill(0);
      value.fill(0);
    }
  }

  async put(transaction: Transaction, secret: NewSecret | SealedSecret): Promise<SecretRef> {
    const [sealed] = await this.putAll(transaction, [secret]);
    if (sealed === undefined) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: 'no secret was put' });
    return sealed;
  }

  /** Keeps any number by one statement; the references come in the order of the secrets. */
  async putAll(transaction: Transaction, secrets: readonly (NewSecret | SealedSecret)[]): Promise<SecretRef[]> {
    const sealed: SealedSecret[] = [];
    for (const secret of secrets) sealed.push('ciphertext' in secret ? secret : await this.seal(secret));
    if (sealed.length === 0) return [];
    await transaction.execute(
      insertSecrets,
      sealed.map((secret) => secret.id),
      sealed.map((secret) => secret.ownerId),
      sealed.map((secret) => secret.tenantId),
      sealed.map((secret) => secret.projectId),
      sealed.map((secret) => secret.purpose),
      sealed.map((secret) => secret.keyId),
      sealed.map((secret) => secret.wrappedKey),
      sealed.map((secret) => secret.ciphertext),
    );
    return sealed.map((secret) => secret.id);
  }

  /**
   * @throws NOT_FOUND when there is none of this reference that belongs to this owner
   * @throws UNAVAILABLE (the operator's to mend) naming the key id, when its key is missing
   * @throws INTERNAL (the operator's to mend) when the row was changed or its key is another one of the same id
   */
  async open(reader: Reader, ref: SecretRef, ownerId: string): Promise<SecretValue> {
    const opened = await this.openAll(reader, [{ ref, ownerId }]);
    const value = opened.get(ref);
    if (value === undefined) throw notFound('secret', ref);
    return value;
  }

  /** Opens any number by one statement; throws as `open` does when one of them cannot be opened. */
  async openAll(reader: Reader, lookups: readonly SecretLookup[]): Promise<Map<SecretRef, SecretValue>> {
    const opened = new Map<SecretRef, SecretValue>();
    if (lookups.length === 0) return opened;
    const found = await reader.rows(
      findSecrets,
      lookups.map((lookup) => lookup.ref),
    );
    const rows = new Map(found.map((row) => [row.id, row]));
    for (const { ref, ownerId } of lookups) {
      const row = rows.get(ref);
      if (row === undefined || row.owner_id !== ownerId) throw notFound('secret', ref);
      opened.set(ref, await this.unseal(row, ownerId));
    }
    return opened;
  }

  /** @returns how many there were; what is gone already is no error. */
  async remove(transaction: Transaction, refs: readonly SecretRef[]): Promise<number> {
    return refs.length === 0 ? 0 : transaction.execute(removeSecrets, [...refs]);
  }

  /** Removes everything that belongs to these resources, for when they go. */
  async removeOwnedBy(transaction: Transaction, ownerIds: readonly string[]): Promise<number> {
    return removeSecretsOwnedBy(transaction, ownerIds);
  }

  /**
   * Brings every secret to the current key, batch by batch (see `rotateSecrets`). To change keys: add the new one *last*
   * in every process, then move it to the front, then rotate; when `remaining` is empty the old one may go.
   */
  async rotate(database: Database, batchSize: number, options: RotationOptions = {}): Promise<RotationResult> {
    return rotateSecrets(database, this.keys, batchSize, options);
  }

  /** What is wrong with the configured keys, seen from the secrets that are kept; empty when all can be opened. */
  async checkKeys(reader: Reader): Promise<KeyProblem[]> {
    return checkKeys(reader, this.keys);
  }

  private async unseal(row: SecretRow, ownerId: string): Promise<SecretValue> {
    // The caller's owner, never the row's: whoever can write rows cannot thereby hand a secret to another owner.
    const context = associatedData(row.id, ownerId);
    const wrapped: WrappedKey = { keyId: row.key_id, bytes: row.wrapped_key };
    try {
      const dataKey = await unwrapKey(this.keys, wrapped, context);
      const content = unseal(createSecretKey(dataKey), row.ciphertext, context);
      dataKey.fill(0);
      const value = new SecretValue(content);
      content.fill(0);
      return value;
    } catch (error) {
      if (!(error instanceof BrokenSealError)) throw error;
      throw new MuonError('INTERNAL', 'A stored secret cannot be opened.', {
        fault: 'OPERATOR',
        data: { secretId: row.id, keyId: row.key_id },
        detail: `secret ${row.id} of ${ownerId}: its row was changed, or the configured key "${row.key_id}" is not the one it was sealed with`,
      });
    }
  }
}
