import { DEBIAN_IMAGE } from '../../apps/lab/src/layout.js';
import type { LabMachine, LabSystem, LabTenant } from './lab-system.js';
import { until } from './lab.js';

const BUNDLE_FOLDER = '/root/bundle';
const INSTANCE_MS = 60_000;
const WRITE_MS = 30_000;

/** What a client needs to know of the cluster that it speaks to. */
export interface DockerCluster {
  id: string;
  networkId: string;
  apiEndpoint: string;
}

/** The stock docker client, on a machine in the network of a Swarm cluster. */
export class LabDocker {
  private constructor(
    private readonly muon: LabSystem,
    private readonly tenant: LabTenant,
    private readonly cluster: DockerCluster,
    readonly machine: LabMachine,
  ) {}

  /** @param keptHost that it is on: one that is not killed */
  static async beside(muon: LabSystem, tenant: LabTenant, cluster: DockerCluster, keptHost: string): Promise<LabDocker> {
    const machine = await onOneHost(muon, keptHost, async () => muon.machine(tenant, cluster.networkId, 'client', { flavor: 'node', image: DEBIAN_IMAGE }));
    return new LabDocker(muon, tenant, cluster, machine);
  }

  /** Mints a bundle and gives it to the client. @returns what is for DOCKER_HOST */
  async getBundle(): Promise<string> {
    const text = `mutation ($id: ID!) { createDockerBundle(input: { id: $id, validMinutes: 30 }) { bundle { host files { name content } } } }`;
    const { createDockerBundle } = await this.tenant.api.request<{ createDockerBundle: { bundle: { host: string; files: { name: string; content: string }[] } } }>(text, {
      id: this.cluster.id,
    });
    const { host, files } = createDockerBundle.bundle;
    const instance = await until('The client', INSTANCE_MS, async () => this.muon.instanceOf(this.machine.id));
    for (const { name, content } of files) {
      const command = ['sh', '-c', `mkdir -p ${BUNDLE_FOLDER}; umask 077; cat > ${BUNDLE_FOLDER}/${name}`];
      await this.muon.incus.instances.execute(instance.name, { command, input: content, timeoutMs: WRITE_MS });
    }
    return host;
  }

  async run(...words: string[]): Promise<{ exitCode: number; stdout: string }> {
    const environment = `DOCKER_HOST=${this.cluster.apiEndpoint} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${BUNDLE_FOLDER}`;
    return this.muon.inGuest(this.machine.id, 'sh', '-c', `${environment} timeout 20 docker "$@"`, 'docker', ...words);
  }

  /** By name, as `Ready Leader`. @throws Error when no manager answers */
  async nodes(): Promise<Map<string, string>> {
    const { exitCode, stdout } = await this.run('node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.ManagerStatus}}');
    if (exitCode !== 0) throw new Error(`docker node ls ended with ${exitCode}`);
    return new Map(stdout.trim().split('\n').map((line) => [line.split(' ')[0] ?? '', line.split(' ').slice(1).join(' ').trim()]));
  }
}

/** The others get nothing new meanwhile. */
async function onOneHost<Made>(muon: LabSystem, hostName: string, make: () => Promise<Made>): Promise<Made> {
  const { hosts } = await muon.owner.request<{ hosts: { nodes: { id: string; name: string }[] } }>('{ hosts(first: 100) { nodes { id name } } }');
  const others = hosts.nodes.filter(({ name }) => name !== hostName);
  const each = async (mutation: string, more = ''): Promise<void> => {
    for (const { id } of others) await muon.owner.request(`mutation ($id: ID!) { ${mutation}(input: { id: $id${more} }) { host { id } } }`, { id });
  };
  await each('suspendHost', ', reason: "One place is wanted."');
  try {
    return await make();
  } finally {
    await each('resumeHost');
  }
}
