import type { ApiClient } from './client.js';
import { until } from './lab.js';

const PATIENCE_MS = 60_000;

/** What the provider router on it is called. */
export const PROVIDER_ROUTER = 'shared';

interface Shared {
  id: string;
  name: string;
  state: string;
}

async function shared(operator: ApiClient, list: 'externalNetworks' | 'providerRouters'): Promise<Shared[]> {
  const answer = await operator.request<Record<string, { nodes: Shared[] }>>(`{ ${list}(first: 100) { nodes { id name state } } }`);
  return answer[list]?.nodes ?? [];
}

/**
 * An external network of the first backend, for all tenants: the one that it has, or a new one; with a provider router.
 * @returns its name
 */
export async function makeOutside(operator: ApiClient): Promise<string> {
  if ((await shared(operator, 'externalNetworks')).length === 0) {
    const { backends } = await operator.request<{ backends: { nodes: { id: string }[] } }>('{ backends(first: 1) { nodes { id } } }');
    const input = { name: 'outside', backendId: backends.nodes[0]?.id, physicalNetwork: 'physnet1', cidr: '198.51.100.0/24', gateway: '198.51.100.1' };
    await operator.request('mutation ($input: CreateExternalNetworkInput!) { createExternalNetwork(input: $input) { externalNetwork { id } } }', { input });
  }
  const find = async (list: 'externalNetworks' | 'providerRouters'): Promise<string | undefined> =>
    (await shared(operator, list)).find(({ state }) => state === 'ACTIVE')?.name;
  const externalNetwork = await until('An external network', PATIENCE_MS, async () => find('externalNetworks'));
  if (!(await shared(operator, 'providerRouters')).some(({ name }) => name === PROVIDER_ROUTER)) {
    const input = { name: PROVIDER_ROUTER, externalNetwork };
    await operator.request('mutation ($input: CreateProviderRouterInput!) { createProviderRouter(input: $input) { providerRouter { id } } }', { input });
  }
  await until('A provider router', PATIENCE_MS, async () => find('providerRouters'));
  return externalNetwork;
}

/** What operators made for all tenants goes, too: provider routers, external networks and firewall policies. After it Muon has nothing in OVN. */
export async function withdrawShared(operator: ApiClient): Promise<void> {
  await withdraw(operator, 'providerRouters', 'deleteProviderRouter');
  await withdraw(operator, 'externalNetworks', 'deleteExternalNetwork');
  await withdraw(operator, 'firewallPolicies', 'deleteFirewallPolicy');
}

async function withdraw(operator: ApiClient, list: string, deletion: string): Promise<void> {
  const ids = async (): Promise<string[]> => {
    const answer = await operator.request<Record<string, { nodes: { id: string }[] }>>(`{ ${list}(first: 100) { nodes { id } } }`);
    return answer[list]?.nodes.map(({ id }) => id) ?? [];
  };
  for (const id of await ids()) await operator.request(`mutation ($id: ID!) { ${deletion}(input: { id: $id }) { operation { id } } }`, { id });
  await until(`An end of all ${list}`, PATIENCE_MS, async () => ((await ids()).length === 0 ? true : undefined));
}
