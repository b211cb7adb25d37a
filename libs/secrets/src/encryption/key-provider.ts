import { MuonError, withTimeout } from '#core';

/** A data key as it is stored: encrypted by the key-encryption key of this id. */
export interface WrappedKey {
  readonly keyId: string;
  readonly bytes: Buffer;
}

/**
 * Holds the key-encryption keys: a file's today, a key management service's tomorrow. One that makes external calls
 * must call `refuseInsideTransaction` first, as drivers do; callers then seal before they open a unit of work.
 */
export interface KeyProvider {
  /** What new secrets are wrapped with, and what rotation brings the old ones to. */
  readonly currentKeyId: string;
  /** After which one call is given up. */
  readonly callTimeoutMs: number;
  knows(keyId: string): boolean;
  /** @param context what the data key is for; unwrapping needs the same text. */
  wrap(dataKey: Buffer, context: string, signal: AbortSignal): Promise<WrappedKey>;
  /**
   * @throws UNAVAILABLE naming the key id when this provider does not have that key
   * @throws BrokenSealError when the key does not open it
   */
  unwrap(wrapped: WrappedKey, context: string, signal: AbortSignal): Promise<Buffer>;
}

/** Injection token of the `KeyProvider`. */
export const KEY_PROVIDER = Symbol('KeyProvider');

/** Retryable, since the operator can give the key back, or the process that has it may be the next to try. */
export function missingKey(keyId: string): MuonError {
  return new MuonError('UNAVAILABLE', `The encryption key "${keyId}" is not in this installation's configuration.`, {
    fault: 'OPERATOR',
    retryable: true,
    data: { keyId },
  });
}

export async function wrapKey(keys: KeyProvider, dataKey: Buffer, context: string): Promise<WrappedKey> {
  return withTimeout('The key service', keys.callTimeoutMs, async (signal) => keys.wrap(dataKey, context, signal));
}

export async function unwrapKey(keys: KeyProvider, wrapped: WrappedKey, context: string): Promise<Buffer> {
  return withTimeout('The key service', keys.callTimeoutMs, async (signal) => keys.unwrap(wrapped, context, signal));
}
