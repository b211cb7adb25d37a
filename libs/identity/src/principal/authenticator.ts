import { MuonError } from '#core';
import type { Database } from '#database';
import { Access, type RequestOrigin } from '../access/access.js';
import { findCredentials, touchTokens, type CredentialRow } from './principal.sql.js';
import { readToken, sameHash } from './token.js';

/** A revoked token, a removed binding or a disabled principal stops working within this time on every process. */
const CACHE_MS = 500;
const CACHE_LIMIT = 10_000;

interface Cached {
  row: CredentialRow | undefined;
  readAt: number;
}

/** Turns a bearer token into what its owner may do. */
export class Authenticator {
  private readonly cache = new Map<string, Cached>();
  private readonly used = new Set<string>();

  constructor(private readonly database: Database) {}

  /** @throws UNAUTHENTICATED, always with the same words, so that nothing is learned by guessing. */
  async authenticate(token: string, origin: RequestOrigin): Promise<Access> {
    const read = readToken(token);
    const row = read === undefined ? undefined : await this.credential(read.id);
    if (read === undefined || row === undefined || !sameHash(read.secretHash, row.secret_hash)) throw unauthenticated();
    if (row.expires_at !== null && row.expires_at.getTime() <= Date.now()) throw unauthenticated();
    this.used.add(row.token_id);
    const principal = { id: row.principal_id, kind: row.kind, name: row.name };
    return new Access(principal, row.token_id, row.expires_at, origin, row.grants);
  }

  /** Which of these tokens no longer hold; one query for all open sockets. */
  async invalid(accesses: readonly Access[]): Promise<Set<Access>> {
    const ids = [...new Set(accesses.flatMap((access) => (access.tokenId === null ? [] : [access.tokenId])))];
    const valid = new Map((await this.database.rows(findCredentials, ids)).map((row) => [row.token_id, row]));
    const gone = new Set<Access>();
    for (const access of accesses) {
      const row = access.tokenId === null ? undefined : valid.get(access.tokenId);
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

function unauthenticated(): MuonError {
  return new MuonError('UNAUTHENTICATED', 'A valid token is needed: send "Authorization: Bearer <token>".');
}
