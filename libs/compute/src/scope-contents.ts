import type { ChangeSet, Reader, Statement } from '#database';
import { ContentsOrder, type GoingScope, type ScopeContent, type ScopeContents } from '#tenancy';
import { planAffinityGroupRemoval } from './affinity-group/affinity-group-plan.js';
import * as sql from './scope-contents.sql.js';
import { planMachineDeletion } from './virtual-machine/machine-deletion.js';
import { findVirtualMachines } from './virtual-machine/virtual-machine.sql.js';

interface ContentQueries {
  count: Statement<{ count: number }, [tenantId: string, projectId: string | null]>;
  list: Statement<ScopeContent, [tenantId: string, projectId: string | null, limit: number]>;
}

function contents(kind: string, order: number, queries: ContentQueries): ScopeContents {
  return {
    kind,
    order,
    count: async (reader, scope) => (await reader.first(queries.count, scope.tenantId, scope.projectId))?.count ?? 0,
    list: (reader, scope, limit) => reader.rows(queries.list, scope.tenantId, scope.projectId, limit),
  };
}

async function planMachines(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableMachines, scope.tenantId, scope.projectId, limit);
  const rows = ids.length === 0 ? [] : await reader.rows(findVirtualMachines, ids.map((each) => each.id));
  return planMachineDeletion(reader, rows);
}

async function planGroups(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  return planAffinityGroupRemoval(await reader.rows(sql.findDeletableGroups, scope.tenantId, scope.projectId, limit));
}

/** What this room keeps in tenants and projects, and the places that its machines hold. */
export const computeScopeContents: readonly ScopeContents[] = [
  { ...contents('virtual machine', ContentsOrder.VIRTUAL_MACHINE, sql.machinesInScope), planDeletion: planMachines },
  { ...contents('affinity group', ContentsOrder.AFFINITY_GROUP, sql.groupsInScope), planDeletion: planGroups },
  contents('image', ContentsOrder.IMAGE, sql.imagesInScope),
  contents('host claim', ContentsOrder.CLAIM, sql.hostClaimsInScope),
  contents('datastore claim', ContentsOrder.CLAIM, sql.datastoreClaimsInScope),
];
