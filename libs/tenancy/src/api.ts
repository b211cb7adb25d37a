import { ProjectResolver } from './project/project.graphql.js';
import { TenantResolver } from './tenant/tenant.graphql.js';

export { ProjectResource, ProjectResourcesArguments, toProjectResource } from './project/project-resource.graphql.js';
export { loadProject, loadTenant, Project, Tenant } from './tenancy-types.graphql.js';

export const tenancyResolvers = [TenantResolver, ProjectResolver];
