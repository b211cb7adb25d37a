import { statement } from '#database';
import type { ScopeContent } from '#tenancy';
import type { AffinityGroupRow } from './affinity-group/affinity-group.sql.js';

/** What is of a tenant, or of one of its projects. */
type ScopeParameters = [tenantId: string, projectId: string | null];

const IN_SCOPE = `tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)`;

function contentStatements(table: 'virtual_machine' | 'affinity_group' | 'image') {
  return {
    count: statement<{ count: number }, ScopeParameters>(`${table}.count_in_scope`, `SELECT count(*) AS count FROM ${table} WHERE ${IN_SCOPE}`),
    list: statement<ScopeContent, [...ScopeParameters, limit: number]>(
      `${table}.list_in_scope`,
      `SELECT id, name FROM ${table} WHERE ${IN_SCOPE} ORDER BY id LIMIT $3::int`,
    ),
  };
}

function claimStatements(table: 'host_claim' | 'datastore_claim') {
  return {
    count: statement<{ count: number }, ScopeParameters>(`${table}.count_in_scope`, `SELECT count(*) AS count FROM ${table} WHERE ${IN_SCOPE}`),
    list: statement<ScopeContent, [...ScopeParameters, limit: number]>(
      `${table}.list_in_scope`,
      `SELECT resource_id AS id, resource_id AS name FROM ${table} WHERE ${IN_SCOPE} ORDER BY resource_id LIMIT $3::int`,
    ),
  };
}

export const machinesInScope = contentStatements('virtual_machine');
export const groupsInScope = contentStatements('affinity_group');
export const imagesInScope = contentStatements('image');
export const hostClaimsInScope = claimStatements('host_claim');
export const datastoreClaimsInScope = claimStatements('datastore_claim');

/** Nodes of clusters go with these. */
export const findDeletableMachines = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'virtual_machine.deletable_in_scope',
  `SELECT id FROM virtual_machine WHERE ${IN_SCOPE} AND owner_id IS NULL AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int`,
);

export const findDeletableGroups = statement<Pick<AffinityGroupRow, 'id' | 'version' | 'name'>, [...ScopeParameters, limit: number]>(
  'affinity_group.deletable_in_scope',
  `SELECT id, version, name FROM affinity_group AS g WHERE ${IN_SCOPE} AND owner_id IS NULL
     AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.affinity_group_id = g.id) ORDER BY id LIMIT $3::int`,
);
