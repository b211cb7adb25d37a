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
  input: Record<string, unknown>;
}

export const insertAudit = statement<never, [entries: string]>(
  'audit.insert',
  `INSERT INTO audit_entry
     (id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input)
   SELECT id, principal_id, token_id, address, request_id, command, outcome, error_code, tenant_id, project_id, resource_id, operation_id, input
   FROM jsonb_populate_recordset(NULL::audit_entry, $1::jsonb)`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], resourceId: string | null, tenantId: string | null];

export const auditEntries = keysetList<AuditRow, ListParameters>(
  'audit.list',
  `SELECT a.* FROM audit_entry AS a
   WHERE ${visible('a', 1)} AND ($4::text IS NULL OR a.resource_id = $4) AND ($5::text IS NULL OR a.tenant_id = $5)`,
  5,
  { NEWEST: { column: 'at', direction: 'DESC', type: 'timestamptz' } },
);
