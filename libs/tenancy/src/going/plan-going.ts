import { MuonError } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { operationId, OPERATIONS, succeedResources } from '#operations';
import { SCOPES, ScopeState } from '#scopes';
import type { GoingScope, ScopeContentsRegistry } from './scope-contents.js';
import { findProjectScopes } from './going.sql.js';

export const OFFBOARD_TENANT = 'tenancy.tenant.offboard';
export const DELETE_PROJECT = 'tenancy.project.delete';

/** Things that a preview names, over all kinds; the rest is counted. */
const MAX_NAMED = 500;

/** A tenant or project that shall go. */
export interface Going {
  table: 'tenant' | 'project';
  row: {
    id: string;
    name: string;
    state: ScopeState;
    scope_version: number;
    version: number;
    deletion_operation_id: string | null;
  };
  scope: GoingScope;
}

/**
 * Closes the scope and starts the operation that empties it. From here on nothing new can be made in it; until the
 * operation has begun it can be cancelled, and then everything is as before.
 * @throws INVALID_STATE when it is going already
 */
export async function planGoing(reader: Reader, contents: ScopeContentsRegistry, going: Going): Promise<ChangeSet> {
  const { table, row, scope } = going;
  if (row.state === ScopeState.DELETING && row.deletion_operation_id !== null) {
    throw new MuonError('INVALID_STATE', `The ${table} "${row.name}" is being deleted already.`, {
      data: { operationId: row.deletion_operation_id, state: row.state },
    });
  }
  const changes = new ChangeSet();
  const id = operationId.create();
  await preview(reader, contents, scope, changes);
  const projects = scope.projectId === null ? await reader.rows(findProjectScopes, scope.tenantId) : [];
  for (const project of projects) changes.resources.push({ action: 'DELETE', kind: 'project', id: project.id, name: project.name });
  changes.resources.push({ action: 'DELETE', kind: table, id: row.id, name: row.name });
  changes.reasons.push({ subject: row.name, message: `then quota, roles, principals and tokens of the ${table}; its metering and audit stay` });

  succeedResources(changes, id, [row.id, ...projects.map((project) => project.id)]);
  changes.add(SCOPES, { scopeId: row.id, version: row.scope_version, state: ScopeState.DELETING });
  changes.add(ROWS, { table, update: { deletion_operation_id: id }, id: row.id, version: row.version });
  changes.add(OPERATIONS, {
    id,
    kind: table === 'tenant' ? OFFBOARD_TENANT : DELETE_PROJECT,
    resourceKind: table === 'tenant' ? 'ten' : 'prj',
    resourceId: row.id,
    tenantId: scope.tenantId,
    projectId: scope.projectId,
    input: { tenantId: scope.tenantId, projectId: scope.projectId, name: row.name, stateBefore: row.state },
  });
  changes.result = { id: row.id, operationId: id };
  return changes;
}

/** What goes, in the order in which it goes. */
async function preview(reader: Reader, contents: ScopeContentsRegistry, scope: GoingScope, changes: ChangeSet): Promise<void> {
  for (const each of contents.inOrder) {
    const count = await each.count(reader, scope);
    if (count === 0) continue;
    changes.reasons.push({ subject: each.kind, message: `${count} of kind ${each.kind}`, data: { count, order: each.order } });
    const free = MAX_NAMED - changes.resources.length;
    if (free <= 0) continue;
    for (const { id, name } of await each.list(reader, scope, free)) {
      changes.resources.push({ action: 'DELETE', kind: each.kind, id, name });
    }
  }
}
