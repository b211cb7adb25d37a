import { Database, statement } from '#database';
import type { IncusClient, Instance } from '#incus';
import { installationId } from '#infrastructure';
import { register } from '../../apps/lab/src/registration/register.js';
import { builtProgram } from './built.js';
import type { ApiClient } from './client.js';
import { Lab, until } from './lab.js';
import { withdrawShared } from './outside.js';
import { startSystem, type System, type SystemOptions, type SystemProcess } from './system.js';

const LAB_PROGRAM = builtProgram('apps/lab/src/main.js');
const OPERATION_PATIENCE_MS = 120_000;
const readKeeper = statement<{ owner: string | null }, [name: string]>('lab.keeper', 'SELECT owner FROM lease WHERE name = $1');
/** Everything that Muon makes in Incus says whose it is. */
const INSTALLATION_KEY = 'user.muon.installation';

export interface LabTenant {
  tenantId: string;
  projectId: string;
  /** Speaks as its owner. */
  api: ApiClient;
}

export interface LabMachine {
  id: string;
  /** By which Incus knows it. */
  instanceId: string;
  name: string;
  address: string;
  hostName: string;
}

/** Muon as built, api and workers as processes of their own, with the lab as its backend. */
export class LabSystem {
  private readonly tenants = new Set<string>();

  private constructor(
    readonly lab: Lab,
    readonly system: System,
    /** By the socket of the host that the test asks. */
    readonly incus: IncusClient,
    readonly backendId: string,
    /** By which its objects in Incus and OVN are told from those of others. */
    readonly installation: string,
  ) {}

  /** @param askedHost by which the test itself speaks to the cluster, past Muon: one that stays on */
  static async start({ askedHost = 'h1', ...options }: SystemOptions & { askedHost?: string } = {}): Promise<LabSystem> {
    const lab = await Lab.find();
    const fence = JSON.stringify([process.execPath, LAB_PROGRAM, '--state', lab.folder.path, 'host', 'kill']);
    const system = await startSystem({ ...options, environment: { MUON_FENCE_COMMAND: fence, ...options.environment } });
    try {
      const { url, token } = system.owner;
      const { backendId } = await register({ folder: lab.folder, url, token: token ?? '', note: () => undefined });
      return new LabSystem(lab, system, await lab.incus(askedHost), backendId, await withDatabase(system.databaseUrl, installationId));
    } catch (error) {
      await system.close();
      throw error;
    }
  }

  async onboard(name: string): Promise<LabTenant> {
    const { onboardTenant } = await this.system.owner.request<{
      onboardTenant: { tenant: { id: string }; project: { id: string }; ownerToken: string };
    }>('mutation ($input: OnboardTenantInput!) { onboardTenant(input: $input) { tenant { id } project { id } ownerToken } }', {
      input: { name, owners: [{ name: 'ann' }], ownerToken: true, project: { name: 'shop' } },
    });
    const { tenant, project, ownerToken } = onboardTenant;
    this.tenants.add(tenant.id);
    return { tenantId: tenant.id, projectId: project.id, api: this.system.owner.as(ownerToken) };
  }

  /** For what only operators may ask. */
  get owner(): ApiClient {
    return this.system.owner;
  }

  /** @param cidr of its only subnet; Muon chooses one if not given */
  async network({ api, projectId }: LabTenant, name: string, cidr?: string): Promise<string> {
    const { createNetwork } = await api.request<{ createNetwork: { network: { id: string } } }>(
      'mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) { network { id } } }',
      { input: { projectId, name, subnet: cidr === undefined ? {} : { cidr } } },
    );
    return createNetwork.network.id;
  }

  /** Asks for a machine of the tiny image. @returns its id, and that of its operation */
  async ask(tenant: LabTenant, networkId: string, name: string, more: Record<string, unknown> = {}): Promise<{ id: string; operationId: string }> {
    const { createVirtualMachine: made } = await tenant.api.request<{
      createVirtualMachine: { virtualMachine: { id: string }; operation: { id: string } };
    }>('mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { virtualMachine { id } operation { id } } }', {
      input: { projectId: tenant.projectId, networkId, name, flavor: 'tiny', image: 'tiny', ...more },
    });
    return { id: made.virtualMachine.id, operationId: made.operation.id };
  }

  async machine(tenant: LabTenant, networkId: string, name: string, more: Record<string, unknown> = {}): Promise<LabMachine> {
    const { id, operationId } = await this.ask(tenant, networkId, name, more);
    await this.ended(tenant.api, operationId);
    return this.look(id);
  }

  async delete(tenant: LabTenant, id: string): Promise<void> {
    const { deleteVirtualMachine } = await tenant.api.request<{ deleteVirtualMachine: { operation: { id: string } } }>(
      'mutation ($id: ID!) { deleteVirtualMachine(input: { id: $id }) { operation { id } } }',
      { id },
    );
    await this.ended(tenant.api, deleteVirtualMachine.operation.id);
  }

  /** As the operator sees it. */
  async look(id: string): Promise<LabMachine> {
    const { virtualMachine, hosts } = await this.system.owner.request<{
      virtualMachine: { name: string; hostId: string; instanceId: string; ports: { address: string }[] };
      hosts: { nodes: { id: string; name: string }[] };
    }>('query ($id: ID!) { virtualMachine(id: $id) { name hostId instanceId ports { address } } hosts(first: 100) { nodes { id name } } }', { id });
    const hostName = hosts.nodes.find((host) => host.id === virtualMachine.hostId)?.name ?? '';
    return { id, instanceId: virtualMachine.instanceId, name: virtualMachine.name, address: virtualMachine.ports[0]?.address ?? '', hostName };
  }

  async stateOf(id: string): Promise<string> {
    const { virtualMachine } = await this.system.owner.request<{ virtualMachine: { state: string } | null }>(
      'query ($id: ID!) { virtualMachine(id: $id) { state } }',
      { id },
    );
    return virtualMachine?.state ?? 'GONE';
  }

  /** Waits for an operation. @throws Error with its reason unless it has succeeded */
  async ended(api: ApiClient, operationId: string, patienceMs = OPERATION_PATIENCE_MS): Promise<void> {
    const end = await until(`The end of ${operationId}`, patienceMs, async () => {
      const { operation } = await api.request<{ operation: { state: string; error: { code: string; message: string } | null } }>(
        'query ($id: ID!) { operation(id: $id) { state error { code message } } }',
        { id: operationId },
      );
      return ['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'].includes(operation.state) ? operation : undefined;
    });
    if (end.state !== 'SUCCEEDED') throw new Error(`the operation ended ${end.state}: ${end.error?.code} ${end.error?.message}`);
  }

  /** The instance that a machine is in Incus. */
  async instanceOf(machineId: string): Promise<Instance | undefined> {
    return this.instance((await this.look(machineId)).instanceId);
  }

  /** @param id as Incus knows a machine or a disk */
  async instance(id: string): Promise<Instance | undefined> {
    return (await this.incus.instances.list()).find(({ name }) => name.includes(id.replace('_', '-')));
  }

  /** The worker that binds ports and hears what hosts and networks tell; undefined between two of them. */
  async tender(): Promise<SystemProcess | undefined> {
    const owner = await withDatabase(this.system.databaseUrl, async (database) => database.first(readKeeper, `keeper:backend-tending:${this.backendId}`));
    return this.system.workers.find(({ child }) => owner?.owner?.split('/')[1] === String(child.pid));
  }

  /** Runs a command in the guest, past Muon, as its user would. */
  async inGuest(machineId: string, ...command: string[]): Promise<{ exitCode: number; stdout: string }> {
    const instance = await this.instanceOf(machineId);
    if (instance === undefined) throw new Error(`there is no instance of ${machineId}`);
    return this.incus.instances.execute(instance.name, { command, timeoutMs: 30_000 });
  }

  /** Whether the guest reaches the address by one packet, which is waited for a second. */
  async reaches(machineId: string, address: string): Promise<boolean> {
    return (await this.inGuest(machineId, 'ping', '-c', '1', '-W', '1', address)).exitCode === 0;
  }

  /** What this Muon has made in Incus and OVN and is still there, by name. */
  async remains(): Promise<string[]> {
    const installation = this.installation;
    const [instances, marked] = await Promise.all([
      this.incus.instances.list(),
      this.lab.northbound('--bare', '--columns=name', 'find', 'Logical_Switch_Port', `external_ids:muon\\:installation=${installation}`),
    ]);
    const routers = await this.lab.northbound('--bare', '--columns=name', 'find', 'Logical_Router', `external_ids:muon\\:installation=${installation}`);
    return [
      ...instances.filter(({ config }) => config?.[INSTALLATION_KEY] === installation).map(({ name }) => name),
      ...[...marked.split('\n'), ...routers.split('\n')].filter((name) => name !== ''),
    ];
  }

  /** Offboards the tenants that are left, takes away what is for all of them, and ends all processes. */
  async close(): Promise<void> {
    try {
      for (const id of this.tenants) await this.offboard(id);
      await withdrawShared(this.system.owner);
    } finally {
      this.incus.close();
      await this.system.close();
    }
  }

  /** @param id of the tenant, who goes with all that is theirs */
  async offboard(id: string): Promise<void> {
    this.tenants.delete(id);
    const { offboardTenant } = await this.system.owner.request<{ offboardTenant: { operation: { id: string } } }>(
      'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
      { id },
    );
    await this.ended(this.system.owner, offboardTenant.operation.id);
  }
}

async function withDatabase<Result>(url: string, work: (database: Database) => Promise<Result>): Promise<Result> {
  const database = await Database.open({ url, rooms: [], poolSize: 1, applicationName: 'lab test' });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
