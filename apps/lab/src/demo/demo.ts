import { fileURLToPath } from 'node:url';
import { DemoApi } from '../../../standalone/src/demo/api.js';
import { planCluster } from '../../../standalone/src/demo/cluster.js';
import { onboard, type Customer } from '../../../standalone/src/demo/customer.js';
import { runOperation, type Started } from '../../../standalone/src/demo/operations.js';
import { say } from '../../../standalone/src/demo/terminal.js';
import { startStandalone } from '../../../standalone/src/standalone.js';
import { Failure } from '../failure.js';
import { provideDebian } from '../images.js';
import { installPackages } from '../machine/packages.js';
import { DOCKER_RELEASE, EXTERNAL_NETWORK } from '../layout.js';
import { register } from '../registration/register.js';
import type { StateFolder } from '../state.js';
import { up, type Note } from '../up.js';
import { DockerClient, type Bundle } from './docker-client.js';
import { remainsOf } from './remains.js';

/** Five guests with Docker start on two processors. */
const CLUSTER_DEADLINE_MS = 15 * 60_000;
const MANAGERS = 3;
const WORKERS = 2;
const PROGRAM = fileURLToPath(new URL('../main.js', import.meta.url));

/** The main job on real hosts: a lab, a Muon, a customer, a Swarm of five nodes that the stock client reaches, and nothing left of the customer. */
export async function demo({ folder, note }: { folder: StateFolder; note: Note }): Promise<void> {
  say.chapter('A datacenter on this machine: three hosts with Incus and Open vSwitch, and OVN between them');
  await up({ folder, hosts: undefined, note });
  await provideDebian({ folder, note });
  await installPackages(folder.cache, ['docker.io']);
  // A host that falls silent may be turned off: then it is known that nothing runs there.
  process.env['MUON_FENCE_COMMAND'] ??= JSON.stringify([process.execPath, PROGRAM, '--state', folder.path, 'host', 'kill']);
  const muon = await startStandalone({ dataDirectory: folder.muon, port: 0, issuerPort: 0, logLevel: 'error' });
  const operator = new DemoApi(muon.url, muon.token);
  try {
    say.chapter('The operator registers it with Muon');
    await register({ folder, url: muon.url, token: muon.token, note });
    say.chapter('A provider onboards a customer with one mutation');
    const customer = await onboard(operator);
    await useSwarm(customer);
    say.chapter('The customer leaves, and nothing is left');
    await leave(operator, customer, folder);
    await customer.api.close();
  } finally {
    await operator.close();
    await muon.close();
  }
}

async function useSwarm({ api, projectId }: Customer): Promise<void> {
  const input = {
    projectId,
    name: 'prod',
    kind: 'SWARM',
    version: DOCKER_RELEASE,
    externalNetwork: EXTERNAL_NETWORK,
    controlPlane: { count: MANAGERS, flavor: 'node' },
    nodePools: [{ name: 'workers', flavor: 'node', count: WORKERS }],
  };
  say.chapter('A developer looks before leaping');
  await planCluster(api, input);
  say.chapter('The developer asks for a Swarm of three managers and two workers with one mutation');
  const { createCluster } = await runOperation<{ createCluster: Started & { cluster: { id: string } } }>(
    api,
    'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }',
    { input },
    (answer) => answer.createCluster,
    CLUSTER_DEADLINE_MS,
  );
  const { id } = createCluster.cluster;
  const { createDockerBundle } = await api.request<{ createDockerBundle: { bundle: Bundle; expiresAt: string } }>(
    'mutation ($id: ID!) { createDockerBundle(input: { id: $id }) { bundle { host files { name content } } expiresAt } }',
    { id },
  );
  say.done(`a client certificate, minted for "ann", holds until ${createDockerBundle.expiresAt}`);
  await using client = await DockerClient.of(createDockerBundle.bundle);
  say.chapter(`DOCKER_HOST=${client.host} docker node ls`);
  say.plain(await client.docker('node', 'ls'));
  const ready = (await client.docker('node', 'ls', '--format', '{{.Status}}')).trim().split('\n').filter((status) => status === 'Ready').length;
  if (ready !== MANAGERS + WORKERS) throw new Failure(`Of the Swarm ${ready} nodes are ready, and not ${MANAGERS + WORKERS}.`);
  say.chapter('The cluster is deleted');
  await runOperation<{ deleteCluster: Started }>(
    api,
    'mutation ($id: ID!) { deleteCluster(input: { id: $id }) { operation { id } } }',
    { id },
    (answer) => answer.deleteCluster,
    CLUSTER_DEADLINE_MS,
  );
}

async function leave(operator: DemoApi, customer: Customer, folder: StateFolder): Promise<void> {
  await runOperation<{ offboardTenant: Started }>(
    operator,
    'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
    { id: customer.tenantId },
    (answer) => answer.offboardTenant,
  );
  const left = await remainsOf(customer.tenantId, folder);
  if (left.length > 0) throw new Failure(`Of the customer there is still ${left.join(', ')}.`);
  say.done('nothing of the customer is left in Incus and OVN; the lab stays: npm run lab -- down');
}
