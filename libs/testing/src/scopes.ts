import { insertRows, type Database } from '#database';
import { projectId, SYSTEM_SCOPE_ID, tenantId } from '#scopes';

export interface TestTenant {
  id: string;
  name: string;
  projectIds: string[];
}

let tenants = 0;

/** A tenant of the spec's own and its projects, as scopes only: what `onboardTenant` makes around them is not there. */
export async function newTenant(database: Database, projects = 1): Promise<TestTenant> {
  tenants += 1;
  const id = tenantId.create();
  const name = `tenant-${tenants}`;
  const projectIds = Array.from({ length: projects }, () => projectId.create());
  const tenant = { id, kind: 'TENANT', parent_id: SYSTEM_SCOPE_ID, tenant_id: id, project_id: null, name };
  const rows = projectIds.map((project, index) => ({
    id: project,
    kind: 'PROJECT',
    parent_id: id,
    tenant_id: id,
    project_id: project,
    name: `project-${index + 1}`,
  }));
  await database.transaction((transaction) => insertRows(transaction, 'scope', [tenant, ...rows]));
  return { id, name, projectIds };
}

/** Such a tenant with a row of its own, which may use all zones: for databases with the room of tenancy. */
export async function newTenantInAllZones(database: Database, projects = 1): Promise<TestTenant> {
  const tenant = await newTenant(database, projects);
  const row = { id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true };
  await database.transaction((transaction) => insertRows(transaction, 'tenant', [row]));
  return tenant;
}
