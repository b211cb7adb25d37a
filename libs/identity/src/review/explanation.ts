import { grantAllows, type Place } from '../access/access.js';
import type { ResourceKind } from '../access/resource-kind.js';
import { rolesAllowing, type Action, type Role } from '../access/role.js';
import { grantOf } from '../binding/role-binding.sql.js';
import type { PrincipalRow } from '../principal/principal.sql.js';
import type { HeldBindingRow } from './review.sql.js';

export interface Explanation {
  isAllowed: boolean;
  message: string;
  /** The bindings that give the right. */
  by: HeldBindingRow[];
  /** The roles that would give it. */
  allowedBy: Role[];
}

/** Why somebody may do something to things of a kind in a place, or may not. @param held everything that the principal holds */
export function explain(
  principal: PrincipalRow,
  action: Action,
  kind: ResourceKind,
  place: Place,
  held: readonly HeldBindingRow[],
): Explanation {
  const by = held.filter((row) => grantAllows(grantOf(row), action, kind, place));
  const allowedBy = rolesAllowing(action, kind);
  const isAllowed = by.length > 0 && principal.disabled_at === null;
  return { isAllowed, by, allowedBy, message: messageOf(principal, action, kind, by, allowedBy) };
}

function messageOf(principal: PrincipalRow, action: Action, kind: ResourceKind, by: readonly HeldBindingRow[], allowedBy: readonly Role[]): string {
  const right = `${action} on ${kind}`;
  const [first] = by;
  if (first === undefined) return `"${principal.name}" has no role there that allows ${right}; ${allowedBy.join(', ')} would.`;
  const role = first.role ?? `custom role "${first.custom_role_name}"`;
  const via = first.group_name === null ? '' : `, by the group "${first.group_name}"`;
  const scope = first.project_id === null ? (first.tenant_id === null ? 'the system' : 'the tenant') : 'the project';
  const gives = `the ${role} on ${scope}${via} allows ${right}`;
  if (principal.disabled_at !== null) return `"${principal.name}" is disabled and may do nothing, though ${gives}.`;
  return `${gives[0]?.toUpperCase()}${gives.slice(1)}.`;
}
