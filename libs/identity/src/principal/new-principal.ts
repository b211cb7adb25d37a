import type { RowChange } from '#database';
import type { Place } from '../access/access.js';
import type { Role } from '../access/role.js';
import { principalId, roleBindingId } from './bootstrap.js';
import type { NewToken } from './token.js';

/** A scope to be, or one that is there: rooms above put principals into the scopes that they make. */
export interface PrincipalScope extends Place {
  scopeId: string;
}

export interface NewPrincipal {
  id: string;
  rows: RowChange[];
}

/** Rows of a principal that holds one role on its own scope. */
export function newPrincipalRows(
  scope: PrincipalScope,
  principal: { kind: 'USER' | 'SERVICE_ACCOUNT'; name: string; role: Role },
): NewPrincipal {
  const id = principalId.create();
  const { kind, name, role } = principal;
  const { scopeId, tenantId, projectId } = scope;
  return {
    id,
    rows: [
      { table: 'principal', insert: { id, kind, scope_id: scopeId, tenant_id: tenantId, project_id: projectId, name } },
      newBindingRow(scope, id, role),
    ],
  };
}

/** The row that gives a principal a role on a scope. */
export function newBindingRow(scope: PrincipalScope, principal: string, role: Role): RowChange {
  return {
    table: 'role_binding',
    insert: {
      id: roleBindingId.create(),
      principal_id: principal,
      scope_id: scope.scopeId,
      tenant_id: scope.tenantId,
      project_id: scope.projectId,
      role,
    },
  };
}

/** The row of a token; its text is in none. @param place the principal's */
export function newTokenRow(place: Place, principal: string, name: string, token: NewToken, expiresAt: Date | null): RowChange {
  return {
    table: 'api_token',
    insert: {
      id: token.id,
      principal_id: principal,
      tenant_id: place.tenantId,
      project_id: place.projectId,
      name,
      secret_hash: token.secretHash,
      expires_at: expiresAt,
    },
  };
}
