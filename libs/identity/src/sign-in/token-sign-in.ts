import { createHash } from 'node:crypto';
import type { Database, Transaction } from '#database';
import { findClaimedGroups } from '../group/group.sql.js';
import { setGroupMemberships } from '../group/memberships.js';
import { principalId } from '../principal/bootstrap.js';
import { refusedToken } from './refused-token.js';
import { findSubjects, takeClaims, type SubjectRow } from './sign-in.sql.js';
import type { TokenVerifier, VerifiedToken } from './token-verifier.js';

/** A disabled principal, a removed binding and a changed issuer are heeded within this time on every process. */
const SUBJECT_AGE_MS = 500;
/** A checked token is checked again after this time, so that keys which its issuer has withdrawn do not hold for long. */
const TOKEN_AGE_MS = 300_000;
const MAX_KEPT = 10_000;

/** Who a token speaks for. */
export interface TokenSession {
  readonly issuerId: string;
  readonly subject: string;
  readonly expiresAt: Date;
}

export interface SignedIn {
  session: TokenSession;
  principal: { id: string; name: string; tenantId: string | null };
  grants: SubjectRow['grants'];
}

interface Kept {
  verified: VerifiedToken;
  at: number;
}

/**
 * Signs in the bearers of JWT access tokens. A principal is made when its first token is seen, and written again only when
 * a newer token says something else; between, a request costs no more than one look-up in half a second.
 */
export class TokenSignIn {
  private readonly tokens = new Map<string, Kept>();
  private readonly checking = new Map<string, Promise<VerifiedToken>>();
  private readonly subjects = new Map<string, { row: SubjectRow | undefined; at: number }>();

  constructor(
    private readonly database: Database,
    private readonly verifier: TokenVerifier,
  ) {}

  /** Whether this very token was found good lately. */
  knows(token: string): boolean {
    return this.tokens.has(keyOf(token));
  }

  /** @throws UNAUTHENTICATED with `data.reason`; UNAVAILABLE while its issuer cannot be asked */
  async signIn(token: string): Promise<SignedIn> {
    const key = keyOf(token);
    let verified = await this.verified(key, token);
    let row = await this.subject(verified);
    if (row === undefined || row.issuer_version !== verified.issuer.version) {
      // The issuer was changed or removed since this token was checked.
      this.tokens.delete(key);
      verified = await this.verified(key, token);
      row = await this.subject(verified, true);
    }
    if (row !== undefined && isNews(row, verified)) {
      await this.take(verified);
      row = await this.subject(verified, true);
    }
    if (row?.principal_id == null || row.name === null || row.is_disabled) {
      throw refusedToken('DISABLED', 'Whom this token speaks for may not call.');
    }
    const { issuer, claims, expiresAt } = verified;
    return {
      session: { issuerId: issuer.id, subject: claims.subject, expiresAt },
      principal: { id: row.principal_id, name: row.name, tenantId: row.tenant_id },
      grants: row.grants,
    };
  }

  /** What is known now of whom these sessions belong to, by session; of those that have ended there is nothing. */
  async current(sessions: readonly TokenSession[]): Promise<Map<TokenSession, SubjectRow>> {
    if (sessions.length === 0) return new Map();
    const rows = await this.database.rows(findSubjects, sessions.map((each) => each.issuerId), sessions.map((each) => each.subject));
    const bySubject = new Map(rows.map((row) => [subjectKey(row.issuer_id, row.subject), row]));
    return new Map(
      sessions.flatMap((session) => {
        const row = bySubject.get(subjectKey(session.issuerId, session.subject));
        return row === undefined || row.principal_id === null || row.is_disabled ? [] : [[session, row] as const];
      }),
    );
  }

  private async verified(key: string, token: string): Promise<VerifiedToken> {
    const kept = this.tokens.get(key);
    if (kept !== undefined && performance.now() - kept.at < TOKEN_AGE_MS) {
      if (kept.verified.expiresAt.getTime() > Date.now()) return kept.verified;
    }
    this.tokens.delete(key);
    // The many first requests of one client check its token once.
    let checking = this.checking.get(key);
    if (checking === undefined) {
      checking = this.verifier.verify(token).finally(() => this.checking.delete(key));
      this.checking.set(key, checking);
    }
    const verified = await checking;
    keep(this.tokens, key, { verified, at: performance.now() });
    return verified;
  }

  private async subject({ issuer, claims }: VerifiedToken, isAnew = false): Promise<SubjectRow | undefined> {
    const key = subjectKey(issuer.id, claims.subject);
    const kept = this.subjects.get(key);
    if (!isAnew && kept !== undefined && performance.now() - kept.at < SUBJECT_AGE_MS) return kept.row;
    const at = performance.now();
    const row = await this.database.first(findSubjects, [issuer.id], [claims.subject]);
    keep(this.subjects, key, { row, at });
    return row;
  }

  private async take({ issuer, claims }: VerifiedToken): Promise<void> {
    await this.database.transaction(async (transaction) => {
      const { subject, name, email, groups, digest, issuedAt } = claims;
      const id = principalId.create();
      const taken = await transaction.first(takeClaims, id, issuer.id, issuer.version, subject, name, email, groups, digest, issuedAt);
      if (taken !== undefined) await joinClaimedGroups(transaction, taken.id, taken.scope_id, issuer.id, groups);
    });
  }
}

/** The groups of a claim are those that somebody has made for this issuer, in the issuer's own scope; others mean nothing here. */
async function joinClaimedGroups(
  transaction: Transaction,
  principal: string,
  scopeId: string,
  issuerId: string,
  names: string[],
): Promise<void> {
  const groups = await transaction.rows(findClaimedGroups, scopeId, issuerId, names);
  await setGroupMemberships(transaction, principal, groups.map((group) => group.id));
}

function isNews(row: SubjectRow, { claims }: VerifiedToken): boolean {
  if (row.principal_id === null) return true;
  return !row.is_disabled && row.claims_digest !== claims.digest && (row.claims_at?.getTime() ?? 0) < claims.issuedAt.getTime();
}

/** Tokens are secrets: what is kept of one cannot be presented. */
function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

const subjectKey = (issuerId: string, subject: string): string => `${issuerId} ${subject}`;

/** Keeps the newest of them. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_KEPT) map.delete(map.keys().next().value ?? '');
}
