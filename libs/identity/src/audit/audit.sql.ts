import { keysetList, statement } from '#database';
import { visible } from '../access/access.js';

export const AuditOutcome = { ACCEPTED: 'ACCEPTED', PLANNED: 'PLANNED', REFUSED: 'REFUSED' } as const;
export type AuditOutcome = (typeof AuditOutcome)[keyof typeof AuditOutcome];

export interface AuditRow {
  id: string;
  at: Date;
  principal_id: string | null;
  token_id: string | null;
  address: string | null;
  request_id: string;
  command: string;
  outcome: AuditOutcome;
  error_code: string | null;
  tenant_id: string | null;
  project_id: string | null;
  resource_id: string | null;
  operation_id: string | null;
  /** When its operation ended, and how. */
  ended_at: Date | null;
  operation_state: 'SUCCEEDED' | 'FAILED' | 'CANCELLED' | null;
  operation_error_code: string | null;
  input: Record<string, unknown>;
}

export const insertAudit = statement<never, [entries: string]>(
  'audit.insert',
  `INSERT INTO audit_entry
     (id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input)
   SELECT id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input
   FROM jsonb_populate_recordset(NULL::audit_entry, $1::jsonb)`,
);

/** An operation that is tried again ends again: what closed the entry first stays. */
export const closeAudit = statement<never, [operationId: string, state: string, errorCode: string | null]>(
  'audit.close',
  `UPDATE audit_entry SET ended_at = now(), operation_state = $2, operation_error_code = $3
   WHERE operation_id = $1 AND ended_at IS NULL`,
);

/** A bounded batch of entries that the policy no longer keeps. */
export const pruneAudit = statement<{ removed: number }, [before: Date, limit: number]>(
  'audit.prune',
  `WITH old AS (
     DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE at < $1 ORDER BY at, id LIMIT $2::int) RETURNING 1
   )
   SELECT count(*) AS removed FROM old`,
);

/** Each null for any. */
export interface AuditFilter {
  resourceId: string | null;
  tenantId: string | null;
  projectId: string | null;
  principalId: string | null;
  command: string | null;
  outcome: AuditOutcome | null;
  operationId: string | null;
  since: Date | null;
  until: Date | null;
}

type ListParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  resourceId: string | null,
  tenantId: string | null,
  projectId: string | null,
  principalId: string | null,
  command: string | null,
  outcome: string | null,
  operationId: string | null,
  since: Date | null,
  until: Date | null,
];

/** @param visible `access.filter('audit entry')` */
export function auditParameters(visible: [boolean, string[], string[]], filter: Partial<AuditFilter>): ListParameters {
  const { resourceId, tenantId, projectId, principalId, command, outcome, operationId, since, until } = filter;
  return [
    ...visible,
    resourceId ?? null,
    tenantId ?? null,
    projectId ?? null,
    principalId ?? null,
    command ?? null,
    outcome ?? null,
    operationId ?? null,
    since ?? null,
    until ?? null,
  ];
}

export const auditEntries = keysetList<AuditRow, ListParameters>(
  'audit.list',
  `SELECT a.* FROM audit_entry AS a
   WHERE ${visible('a', 1)} AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)
     AND ($6::text IS NULL OR a.project_id = $6) AND ($7::text IS NULL OR a.principal_id = $7)
     AND ($8::text IS NULL OR a.command = $8) AND ($9::text IS NULL OR a.outcome = $9)
     AND ($10::text IS NULL OR a.operation_id = $10)
     AND ($11::timestamptz IS NULL OR a.at >= $11) AND ($12::timestamptz IS NULL OR a.at < $12)`,
  12,
  { NEWEST: { column: 'at', direction: 'DESC', type: 'timestamptz' } },
);
