import { statement } from '#database';
import type { SecretRef } from './secret.js';

/** The encrypted part of a row. */
export interface SecretRow {
  id: SecretRef;
  owner_id: string;
  key_id: string;
  wrapped_key: Buffer;
  ciphertext: Buffer;
}

export const insertSecrets = statement<
  never,
  [
    ids: string[],
    ownerIds: string[],
    tenantIds: (string | null)[],
    projectIds: (string | null)[],
    purposes: string[],
    keyIds: string[],
    wrappedKeys: Buffer[],
    ciphertexts: Buffer[],
  ]
>(
  'secret.insert',
  `INSERT INTO secret (id, owner_id, tenant_id, project_id, purpose, key_id, wrapped_key, ciphertext)
   SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[])`,
);

export const findSecrets = statement<SecretRow, [ids: string[]]>(
  'secret.find',
  'SELECT id, owner_id, key_id, wrapped_key, ciphertext FROM secret WHERE id = ANY($1)',
);

export const removeSecrets = statement<never, [ids: string[]]>(
  'secret.remove',
  `WITH going AS (SELECT id FROM secret WHERE id = ANY($1) ORDER BY id FOR UPDATE)
   DELETE FROM secret USING going WHERE secret.id = going.id`,
);

export const removeSecretsOfOwners = statement<never, [ownerIds: string[]]>(
  'secret.removeOfOwners',
  `WITH going AS (SELECT id FROM secret WHERE owner_id = ANY($1) ORDER BY id FOR UPDATE)
   DELETE FROM secret USING going WHERE secret.id = going.id`,
);

/** How many secrets each key wraps, by one look into the index a key. */
export const secretKeysInUse = statement<{ key_id: string; secrets: number }>(
  'secret.keysInUse',
  `WITH RECURSIVE used AS (
     (SELECT key_id FROM secret ORDER BY key_id LIMIT 1)
     UNION ALL
     SELECT (SELECT key_id FROM secret WHERE key_id > used.key_id ORDER BY key_id LIMIT 1) FROM used WHERE used.key_id IS NOT NULL
   )
   SELECT key_id, (SELECT count(*) FROM secret WHERE secret.key_id = used.key_id) AS secrets
   FROM used WHERE key_id IS NOT NULL ORDER BY key_id`,
);

/** Up to three wrapped data keys of every key in use: enough to see whether the configuration's keys are the right ones. */
export const secretKeySamples = statement<Omit<SecretRow, 'ciphertext'>>(
  'secret.keySamples',
  `WITH RECURSIVE used AS (
     (SELECT key_id FROM secret ORDER BY key_id LIMIT 1)
     UNION ALL
     SELECT (SELECT key_id FROM secret WHERE key_id > used.key_id ORDER BY key_id LIMIT 1) FROM used WHERE used.key_id IS NOT NULL
   )
   SELECT sample.* FROM used CROSS JOIN LATERAL
     (SELECT id, owner_id, key_id, wrapped_key FROM secret WHERE key_id = used.key_id ORDER BY id LIMIT 3) AS sample
   ORDER BY sample.key_id, sample.id`,
);

export const secretsOfKey = statement<Omit<SecretRow, 'ciphertext'>, [keyId: string, after: string, limit: number]>(
  'secret.ofKey',
  `SELECT id, owner_id, key_id, wrapped_key FROM secret WHERE key_id = $1 AND id > $2 ORDER BY id LIMIT $3`,
);

/**
 * Replaces wrapped data keys that are still the ones that were read: a row that another rotation or a deletion has
 * reached first is left alone. Locks in the order of ids, so that rotations at the same time do not deadlock.
 */
export const rewrapSecrets = statement<
  never,
  [ids: string[], oldWrappedKeys: Buffer[], newKeyIds: string[], newWrappedKeys: Buffer[]]
>(
  'secret.rewrap',
  `WITH locked AS (
     SELECT secret.id, input.new_key_id, input.new_wrapped_key
     FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[])
       AS input (id, old_wrapped_key, new_key_id, new_wrapped_key)
     JOIN secret ON secret.id = input.id AND secret.wrapped_key = input.old_wrapped_key
     ORDER BY secret.id FOR UPDATE OF secret
   )
   UPDATE secret SET key_id = locked.new_key_id, wrapped_key = locked.new_wrapped_key, rotated_at = now()
   FROM locked WHERE secret.id = locked.id`,
);
