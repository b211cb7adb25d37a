import { DemoApi, Refused } from './api.js';
import { useCluster } from './cluster.js';
import { onboard, type Customer } from './customer.js';
import { describeDatacenter, type Datacenter } from './datacenter.js';
import { runOperation, type Started } from './operations.js';
import { say } from './terminal.js';

export interface Story {
  url: string;
  /** The system owner's. */
  token: string;
  /** Of the database that the simulated backend lives in. */
  simulationUrl: string;
}

interface MachineInput {
  projectId: string;
  networkId: string;
  name: string;
  flavor: string;
  image: string;
}

/** The main job, told through the public API: datacenter, customer, cluster, quota, and nothing left at the end. */
export async function tellStory(story: Story): Promise<void> {
  const operator = new DemoApi(story.url, story.token);
  say.chapter('An operator describes the datacenter (simulated: hosts, network and disks; nothing else is)');
  const datacenter = await describeDatacenter(operator, story.simulationUrl);
  try {
    say.chapter('A provider onboards a customer with one mutation');
    const customer = await onboard(operator);
    await useCluster(customer.api, customer.projectId, datacenter);
    await meetQuota(customer);
    say.chapter('The customer leaves, and nothing is left');
    await offboard(operator, customer, datacenter);
    await customer.api.close();
  } finally {
    await operator.close();
    await datacenter.world.close();
  }
}

async function makeNetwork({ api, projectId }: Customer): Promise<string> {
  const { createNetwork } = await api.request<{ createNetwork: { network: { id: string } } }>(
    'mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) { network { id } } }',
    { input: { projectId, name: 'net', subnet: {} } },
  );
  return createNetwork.network.id;
}

async function meetQuota(customer: Customer): Promise<void> {
  say.chapter('Twenty requests for machines at once meet the quota of twelve: exactly twelve are given');
  const { api, projectId } = customer;
  const networkId = await makeNetwork(customer);
  const ask = async (number: number): Promise<boolean> => {
    const input: MachineInput = { projectId, networkId, name: `worker-${number}`, flavor: 'medium', image: 'debian-12' };
    try {
      await api.request('mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { operation { id } } }', { input });
      return true;
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== 'QUOTA_EXCEEDED') throw error;
      if (number === 20) say.live(error.message);
      return false;
    }
  };
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => ask(index + 1)));
  say.done(`${answers.filter(Boolean).length} accepted, ${answers.filter((accepted) => !accepted).length} refused with QUOTA_EXCEEDED`);
}

async function offboard(operator: DemoApi, customer: Customer, { world }: Datacenter): Promise<void> {
  await runOperation<{ offboardTenant: Started }>(
    operator,
    'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
    { id: customer.tenantId },
    (answer) => answer.offboardTenant,
  );
  const mine = (await world.objects()).filter((object) => object.tenantId === customer.tenantId);
  say.done(`${mine.length} objects of the tenant are left in the backend`);
  if (mine.length > 0) throw new Error(`the backend still holds ${mine.map((object) => object.id).join(', ')}`);
}
