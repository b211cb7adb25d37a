import type { RoomSchema } from '#database';
import { Secret1764000100000 } from './migrations/1764000100000-secret.js';
import { SecretEntity } from './secret/secret.entity.js';

export { keysFromFile } from './encryption/key-file.js';
export { KEY_PROVIDER, type KeyProvider, type WrappedKey } from './encryption/key-provider.js';
export { BrokenSealError } from './encryption/sealed-box.js';
export { generateKeyLine, KeyRing, secretKeysSchema } from './encryption/key-ring.js';
export { MAX_SECRET_BYTES, SecretId, SecretValue } from './secret/secret.js';
export type { NewSecret, SealedSecret, SecretLookup, SecretRef } from './secret/secret.js';
export { refuseKeyProblems, type KeyProblem, type RotationOptions, type RotationResult } from './secret/secret.rotation.js';
export { removeSecretsOwnedBy, sealedSecretRow } from './secret/secret.rows.js';
export { SecretService } from './secret/secret.service.js';
export { SecretsModule } from './secrets.module.js';

export const secretsRoom: RoomSchema = { name: 'secrets', entities: [SecretEntity], migrations: [Secret1764000100000] };
