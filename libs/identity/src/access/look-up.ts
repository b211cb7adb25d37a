import { MuonError, notFound } from '#core';
import type { Reader } from '#database';
import { findScopes, requireActive } from '#scopes';
import { findPrincipals, type PrincipalRow } from '../principal/principal.sql.js';
import { placeOfRow, scopeKind, type Access, type Place } from './access.js';
import type { ResourceKind } from './resource-kind.js';
import type { Action } from './role.js';

/** The scope that something of identity is to be made in. @throws NOT_FOUND, FORBIDDEN, INVALID_STATE */
export async function requireScope(reader: Reader, access: Access, child: ResourceKind, id: string, field = 'input.scopeId'): Promise<Place> {
  const [scope] = await reader.rows(findScopes, [id]);
  const place = scope === undefined ? undefined : { tenantId: scope.tenant_id, projectId: scope.project_id };
  if (scope === undefined || place === undefined || !access.sees(scopeKind(place), place)) throw notFound('scope', id, field);
  access.requireChild(child, scopeKind(place), place, id, field);
  requireActive(scope);
  return place;
}

export async function requirePrincipal(
  reader: Reader,
  access: Access,
  action: Action,
  id: string,
  field = 'input.principalId',
): Promise<PrincipalRow & Place> {
  const [row] = await reader.rows(findPrincipals, [id]);
  return access.require(action, 'principal', located(row), id, field);
}

export function located<Row extends { tenant_id: string | null; project_id: string | null }>(row: Row | undefined): (Row & Place) | undefined {
  return row === undefined ? undefined : { ...row, ...placeOfRow(row) };
}

/**
 * A principal or group of a tenant holds roles inside of that tenant only, one of a project on that project only: whoever
 * owns the project may make tokens of it, and would rise by them to what it holds elsewhere.
 */
export function requireInside(noun: 'principal' | 'group', subject: Place, place: Place, field: string): void {
  if (subject.tenantId !== null && subject.tenantId !== place.tenantId) {
    throw new MuonError('INVALID_INPUT', `A ${noun} of a tenant can only hold roles inside of that tenant.`, { field });
  }
  if (subject.projectId !== null && subject.projectId !== place.projectId) {
    throw new MuonError('INVALID_INPUT', `A ${noun} of a project can only hold roles on that project.`, { field });
  }
}
