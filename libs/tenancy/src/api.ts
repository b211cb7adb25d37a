import { ProjectResolver } from './project/project.graphql.js';
import { TenantResolver } from './tenant/tenant.graphql.js';

export { loadProject, loadTenant, Project, Tenant } from './tenancy-types.graphql.js';

export const tenancyResolvers = [TenantResolver, ProjectResolver];
