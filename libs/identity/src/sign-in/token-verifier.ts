import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from 'jose';
import { MuonError } from '#core';
import type { Reader } from '#database';
import { findIssuersOfToken } from '../issuer/issuer.sql.js';
import { SigningAlgorithm, type IssuerRow } from '../issuer/issuer.js';
import { readClaims, type Claims } from './claims.js';
import { unavailable } from './issuer-fetch.js';
import { isUnavailable, type IssuerKeys } from './issuer-keys.js';
import { refusedToken, type TokenProblem } from './refused-token.js';

/** Larger ones do not fit into the headers that proxies let through. */
export const MAX_TOKEN_LENGTH = 8192;
/** How far the clocks of an issuer and of Muon may be apart. */
export const CLOCK_SKEW_SECONDS = 30;
const MAX_AUDIENCES = 20;

/** `at+jwt` is an access token (RFC 9068); many issuers write `JWT` or nothing. */
const ACCESS_TOKEN_TYPES = new Set(['at+jwt', 'application/at+jwt', 'jwt']);

/** A token that is what it says. */
export interface VerifiedToken {
  issuer: IssuerRow;
  claims: Claims;
  expiresAt: Date;
}

/** Three parts of base64url: the look of a signed JSON Web Token. */
export function looksLikeJwt(text: string): boolean {
  return /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(text);
}

/**
 * Checks a JWT access token against the issuer that it names, by the rules of RFC 8725: who may sign how is read from the
 * issuer's row and never from the token.
 * @throws UNAUTHENTICATED with `data.reason` (`TokenProblem`); UNAVAILABLE when the issuer cannot be asked for its keys
 */
export class TokenVerifier {
  constructor(
    private readonly reader: Reader,
    private readonly keys: IssuerKeys,
  ) {}

  async verify(token: string): Promise<VerifiedToken> {
    if (token.length > MAX_TOKEN_LENGTH) throw refusedToken('TOO_LARGE', `A token may have at most ${MAX_TOKEN_LENGTH} characters.`);
    const { issuerUrl, audiences, algorithm } = readUnverified(token);
    if (!Object.hasOwn(SigningAlgorithm, algorithm)) throw refusedToken('ALGORITHM', 'The token is not signed in a way that is allowed here.');
    let refusal: MuonError | undefined;
    for (const issuer of await this.reader.rows(findIssuersOfToken, issuerUrl, audiences)) {
      try {
        return await this.checkedAgainst(issuer, token);
      } catch (error) {
        if (!(error instanceof MuonError)) throw error;
        // Whoever is of the system does not become somebody of a tenant while its issuer is away.
        if (issuer.tenant_id === null && isUnavailable(error)) throw error;
        // What one tenant trusts, and by which keys, says nothing of a token that may be another's.
        refusal ??= error;
      }
    }
    throw refusal ?? refusedToken('ISSUER_OR_AUDIENCE', 'No issuer is trusted here that this token could be from: check its "iss" and "aud".');
  }

  private async checkedAgainst(issuer: IssuerRow, token: string): Promise<VerifiedToken> {
    const payload = await this.check(token, issuer);
    return { issuer, claims: readClaims(payload, issuer), expiresAt: new Date((Number(payload.exp) + CLOCK_SKEW_SECONDS) * 1000) };
  }

  private async check(token: string, issuer: IssuerRow): Promise<JWTPayload> {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.keys.of(issuer), {
        issuer: issuer.url,
        audience: issuer.audience,
        algorithms: issuer.algorithms,
        clockTolerance: CLOCK_SKEW_SECONDS,
        requiredClaims: ['exp', 'iat', 'iss', 'aud'],
      });
      const type = protectedHeader.typ?.toLowerCase();
      if (type !== undefined && !ACCESS_TOKEN_TYPES.has(type)) throw refusedToken('TYPE', 'The token is for something else: an access token is needed.');
      if (typeof payload.iat !== 'number' || typeof payload.exp !== 'number') throw refusedToken('CLAIMS', 'The claims "iat" and "exp" must be numbers.');
      return payload;
    } catch (error) {
      throw meaning(error);
    }
  }
}

/** What the token says of itself, only to find who could have issued it. */
function readUnverified(token: string): { issuerUrl: string; audiences: string[]; algorithm: string } {
  try {
    const { alg: algorithm } = decodeProtectedHeader(token);
    const { iss: issuerUrl, aud } = decodeJwt(token);
    const audiences = typeof aud === 'string' ? [aud] : aud;
    const isWellFormed =
      typeof issuerUrl === 'string' && Array.isArray(audiences) && audiences.length <= MAX_AUDIENCES && audiences.every((each) => typeof each === 'string');
    if (isWellFormed && typeof algorithm === 'string') return { issuerUrl, audiences, algorithm };
  } catch (error) {
    throw refusedToken('MALFORMED', 'The token is no JSON Web Token.', error);
  }
  throw refusedToken('MALFORMED', 'The token names no issuer, no audience or no algorithm.');
}

const MEANINGS: Readonly<Record<string, [TokenProblem, string]>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: ['ALGORITHM', 'The token is not signed in a way that its issuer may sign.'],
  ERR_JOSE_NOT_SUPPORTED: ['ALGORITHM', 'The token is not signed in a way that is known here.'],
  ERR_JWKS_NO_MATCHING_KEY: ['KEY', 'The token is signed by a key that its issuer does not have.'],
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: ['KEY', 'The token does not say which of its issuer’s keys has signed it.'],
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: ['SIGNATURE', 'The signature of the token is wrong.'],
  ERR_JWT_EXPIRED: ['EXPIRED', 'The token has expired: sign in again.'],
  ERR_JWS_INVALID: ['MALFORMED', 'The token is no signed JSON Web Token.'],
  ERR_JWT_INVALID: ['MALFORMED', 'The token is no JSON Web Token.'],
};

function meaning(error: unknown): unknown {
  if (error instanceof MuonError || !(error instanceof errors.JOSEError)) return error;
  const known = MEANINGS[error.code];
  if (known !== undefined) return refusedToken(known[0], known[1], error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf') return refusedToken('NOT_YET_VALID', 'The token is not valid yet.', error);
    return refusedToken('CLAIMS', `The claim "${error.claim}" of the token is missing or not as it must be.`, error);
  }
  // What is left speaks of the keys that the issuer gave.
  return unavailable(`${error.code}: ${error.message}`, error);
}
