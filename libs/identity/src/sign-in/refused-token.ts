import { MuonError } from '#core';

/** Why a token of an issuer is not taken; `data.reason` of UNAUTHENTICATED. Nothing but EXPIRED is worth signing in again for. */
export const TokenProblem = {
  /** It is no JSON Web Token. */
  MALFORMED: 'MALFORMED',
  TOO_LARGE: 'TOO_LARGE',
  /** Nobody here trusts this issuer for one of these audiences. */
  ISSUER_OR_AUDIENCE: 'ISSUER_OR_AUDIENCE',
  /** It is unsigned, or signed in a way that is not allowed. */
  ALGORITHM: 'ALGORITHM',
  /** It is signed by a key that its issuer does not have. */
  KEY: 'KEY',
  SIGNATURE: 'SIGNATURE',
  /** It is a token for something else, as its `typ` says. */
  TYPE: 'TYPE',
  EXPIRED: 'EXPIRED',
  NOT_YET_VALID: 'NOT_YET_VALID',
  /** A claim that is needed is missing or not as it must be. */
  CLAIMS: 'CLAIMS',
  /** Whom it speaks for may not call any more. */
  DISABLED: 'DISABLED',
} as const;
export type TokenProblem = (typeof TokenProblem)[keyof typeof TokenProblem];

export function refusedToken(reason: TokenProblem, message: string, cause?: unknown): MuonError {
  return new MuonError('UNAUTHENTICATED', message, { data: { reason }, ...(cause === undefined ? {} : { cause }) });
}
