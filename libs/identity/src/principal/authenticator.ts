import { MuonError } from '#core';
import type { Database } from '#database';
import { Access, type RequestOrigin } from '../access/access.js';
import type { FailedAttempts } from '../sign-in/attempts.js';
import { refusedToken, TokenProblem } from '../sign-in/refused-token.js';
import type { TokenSession, TokenSignIn } from '../sign-in/token-sign-in.js';
import { looksLikeJwt } from '../sign-in/token-verifier.js';
import { findCredentials, touchTokens, type CredentialRow } from './principal.sql.js';
import { readToken, sameHash } from './token.js';

/** A revoked token, a removed binding or a disabled principal stops working within this time on every process. */
const CACHE_MS = 500;
const CACHE_LIMIT = 10_000;

interface Cached {
  row: CredentialRow | undefined;
  readAt: number;
}

export interface AuthenticatorOptions {
  /** Knows the tokens of issuers; without it only our own tokens are taken. */
  signIn?: TokenSignIn;
  /** Slows down whoever guesses. */
  attempts?: FailedAttempts;
}

/** Turns a bearer token into what its owner may do: one of our own tokens, or a JWT access token of a trusted issuer. */
export class Authenticator {
  private readonly cache = new Map<string, Cached>();
  private readonly used = new Set<string>();
  /** What stands behind the accesses that came from issuers' tokens. */
  private readonly sessions = new WeakMap<Access, TokenSession>();

  constructor(
    private readonly database: Database,
    private readonly options: AuthenticatorOptions = {},
  ) {}

  /**
   * @throws UNAUTHENTICATED: for our own tokens always with the same words, so that nothing is learned by guessing; for
   * tokens of issuers with `data.reason`. RATE_LIMITED after too many of them; UNAVAILABLE while an issuer cannot be asked
   */
  async authenticate(token: string, origin: RequestOrigin): Promise<Access> {
    const { attempts } = this.options;
    const refusal = attempts?.refusal(origin.address);
    if (refusal !== undefined && !this.isKnown(token)) throw refusal;
    try {
      return looksLikeJwt(token) ? await this.byIssuer(token, origin) : await this.byToken(token, origin);
    } catch (error) {
      if (isGuess(error)) attempts?.failed(origin.address);
      throw error;
    }
  }

  /** Which of these no longer hold; at most two queries for all open sockets. */
  async invalid(accesses: readonly Access[]): Promise<Set<Access>> {
    const ids = [...new Set(accesses.flatMap((access) => (access.tokenId === null ? [] : [access.tokenId])))];
    const sessions = accesses.flatMap((access) => this.sessions.get(access) ?? []);
    const [tokens, subjects] = await Promise.all([
      ids.length === 0 ? [] : this.database.rows(findCredentials, ids),
      this.options.signIn?.current(sessions),
    ]);
    const valid = new Map(tokens.map((row) => [row.token_id, row]));
    const gone = new Set<Access>();
    for (const access of accesses) {
      const session = this.sessions.get(access);
      const row = session === undefined ? valid.get(access.tokenId ?? '') : subjects?.get(session);
      // A binding that came or went changes what the socket may see: it has to connect again.
      if (row === undefined || !access.hasGrants(row.grants)) gone.add(access);
    }
    return gone;
  }

  /** Writes down which tokens were used since the last call; a worker's timer calls it. */
  async recordUse(): Promise<void> {
    const ids = [...this.used];
    this.used.clear();
    if (ids.length === 0) return;
    await this.database.transaction((transaction) => transaction.execute(touchTokens, ids));
  }

  private async byToken(token: string, origin: RequestOrigin): Promise<Access> {
    const read = readToken(token);
    const row = read === undefined ? undefined : await this.credential(read.id);
    if (read === undefined || row === undefined || !sameHash(read.secretHash, row.secret_hash)) throw unauthenticated();
    if (row.expires_at !== null && row.expires_at.getTime() <= Date.now()) throw unauthenticated();
    this.used.add(row.token_id);
    const principal = { id: row.principal_id, kind: row.kind, name: row.name, tenantId: row.tenant_id };
    return new Access(principal, row.token_id, row.expires_at, origin, row.grants);
  }

  private async byIssuer(token: string, origin: RequestOrigin): Promise<Access> {
    const { signIn } = this.options;
    if (signIn === undefined) throw refusedToken('ISSUER_OR_AUDIENCE', 'No issuers are trusted here.');
    const { principal, session, grants } = await signIn.signIn(token);
    const access = new Access({ kind: 'USER', ...principal }, null, session.expiresAt, origin, grants);
    this.sessions.set(access, session);
    return access;
  }

  /** Somebody else's guessing at the same address must not lock out who has shown to be right. */
  private isKnown(token: string): boolean {
    if (looksLikeJwt(token)) return this.options.signIn?.knows(token) ?? false;
    const read = readToken(token);
    const row = read === undefined ? undefined : this.cache.get(read.id)?.row;
    return read !== undefined && row !== undefined && sameHash(read.secretHash, row.secret_hash);
  }

  private async credential(id: string): Promise<CredentialRow | undefined> {
    const cached = this.cache.get(id);
    if (cached !== undefined && performance.now() - cached.readAt < CACHE_MS) return cached.row;
    const readAt = performance.now();
    const row = await this.database.first(findCredentials, [id]);
    if (this.cache.size >= CACHE_LIMIT) this.cache.clear();
    this.cache.set(id, { row, readAt });
    return row;
  }
}

/** An expired token was a good one: whoever goes on with it in an open window must not keep out others of that address. */
function isGuess(error: unknown): boolean {
  return error instanceof MuonError && error.code === 'UNAUTHENTICATED' && error.data?.['reason'] !== TokenProblem.EXPIRED;
}

function unauthenticated(): MuonError {
  return new MuonError('UNAUTHENTICATED', 'A valid token is needed: send "Authorization: Bearer <token>".');
}
