import { invalidInput, MuonError, notFound } from '#core';
import type { Reader } from '#database';
import type { Access } from '#identity';
import { MAX_GROUPS, type SecurityGroupRow } from './security-group.js';
import { findSecurityGroups, findVisibleSecurityGroups } from './security-group.sql.js';

/** A reference to a group, and the path of the input that it stands in. */
interface GroupUse {
  id: string;
  field: string;
}

/**
 * The groups of a project that a plan wants to put ports into, or to name in rules.
 * @param access null for the system's own work, as making a failed machine again
 * @throws NOT_FOUND when one is not there, of another project or not the caller's to see; INVALID_STATE when it is going
 */
export async function usableGroups(reader: Reader, access: Access | null, projectId: string, uses: readonly GroupUse[]): Promise<SecurityGroupRow[]> {
  if (uses.length === 0) return [];
  const ids = [...new Set(uses.map((use) => use.id))];
  const rows =
    access === null
      ? await reader.rows(findSecurityGroups, ids)
      : await reader.rows(findVisibleSecurityGroups, ...access.filter('security group'), ids);
  const found = new Map(rows.map((row) => [row.id, row]));
  for (const { id, field } of uses) {
    const row = found.get(id);
    if (row?.project_id !== projectId) throw notFound('security group', id, field);
    if (row.lifecycle === 'PRESENT') continue;
    throw new MuonError('INVALID_STATE', `The security group "${row.name}" is being deleted and takes no new users.`, {
      field,
      data: { id, state: row.lifecycle },
    });
  }
  return [...found.values()];
}

/** @throws INVALID_INPUT when a port would be in too many */
export function requireFewGroups(amount: number, field: string): void {
  if (amount > MAX_GROUPS) throw invalidInput(field, `A port is in at most ${MAX_GROUPS} security groups.`, { maximum: MAX_GROUPS });
}
