import { statement } from '#database';
import type { Grant } from '../access/access.js';
import { grantsOf } from '../principal/principal.sql.js';

/** What is known here of a subject of an issuer; the principal's part is null before its first sign-in. */
export interface SubjectRow {
  issuer_id: string;
  issuer_version: number;
  subject: string;
  principal_id: string | null;
  tenant_id: string | null;
  name: string | null;
  is_disabled: boolean;
  claims_digest: string | null;
  claims_at: Date | null;
  grants: Grant[];
}

/** Subjects of issuers that are trusted now; of others nothing is found. */
export const findSubjects = statement<SubjectRow, [issuerIds: string[], subjects: string[]]>(
  'sign_in.subjects',
  `SELECT i.id AS issuer_id, i.version AS issuer_version, k.subject, p.id AS principal_id, i.tenant_id, p.name,
     p.disabled_at IS NOT NULL AS is_disabled, p.claims_digest, p.claims_at, ${grantsOf('p.id')} AS grants
   FROM unnest($1::text[], $2::text[]) AS k(issuer_id, subject)
   JOIN issuer AS i ON i.id = k.issuer_id AND i.enabled
   LEFT JOIN principal AS p ON p.issuer_id = i.id AND p.subject = k.subject`,
);

export interface ClaimedRow {
  id: string;
  scope_id: string;
}

/**
 * Makes the principal of a subject or brings it to the claims of a newer token; no row means that there was nothing to
 * do, or that the issuer has changed since the token was checked. A scope on its way out takes nobody in. The issuer is
 * held, so that groups of its claims that are made meanwhile are seen here, or see the new principal.
 */
export const takeClaims = statement<
  ClaimedRow,
  [
    id: string,
    issuerId: string,
    issuerVersion: number,
    subject: string,
    name: string,
    email: string | null,
    groups: string[],
    digest: string,
    issuedAt: Date,
  ]
>(
  'sign_in.take_claims',
  `INSERT INTO principal AS p
     (id, kind, scope_id, tenant_id, name, issuer_id, subject, email, claimed_groups, claims_digest, claims_at)
   SELECT $1, 'USER', i.scope_id, i.tenant_id, $5, i.id, $4, $6, $7, $8, $9
   FROM issuer AS i JOIN scope AS s ON s.id = i.scope_id
   WHERE i.id = $2 AND i.version = $3 AND i.enabled AND s.state <> 'DELETING'
   FOR SHARE
   ON CONFLICT (issuer_id, subject) WHERE issuer_id IS NOT NULL
   DO UPDATE SET name = excluded.name, email = excluded.email, claimed_groups = excluded.claimed_groups,
     claims_digest = excluded.claims_digest, claims_at = excluded.claims_at, version = p.version + 1
   WHERE p.claims_digest <> excluded.claims_digest AND p.claims_at < excluded.claims_at AND p.disabled_at IS NULL
   RETURNING id, scope_id`,
);
