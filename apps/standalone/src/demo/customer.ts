import type { DemoApi } from './api.js';
import { say } from './terminal.js';

export interface Customer {
  tenantId: string;
  projectId: string;
  /** Speaks as the tenant's owner. */
  api: DemoApi;
}

/** One mutation makes the tenant, its owner, its quota and its first project. */
export async function onboard(operator: DemoApi): Promise<Customer> {
  const name = `acme-${Date.now().toString(36)}`;
  const input = {
    name,
    owners: [{ name: 'ann' }],
    ownerToken: true,
    quota: [
      { resourceKey: 'vm.count', limit: 12 },
      { resourceKey: 'vm.cpu', limit: 24 },
    ],
    project: { name: 'shop' },
  };
  const { onboardTenant } = await operator.request<{
    onboardTenant: { tenant: { id: string }; project: { id: string }; ownerToken: string };
  }>('mutation ($input: OnboardTenantInput!) { onboardTenant(input: $input) { tenant { id } project { id } ownerToken } }', { input });
  say.done(`tenant "${name}" with its owner "ann", a quota of 12 machines and 24 processors, and the project "shop"`);
  const { tenant, project, ownerToken } = onboardTenant;
  return { tenantId: tenant.id, projectId: project.id, api: operator.as(ownerToken) };
}
