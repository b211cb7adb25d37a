import { EXTERNAL, EXTERNAL_NETWORK, machineAddress } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import { until } from './lab.js';
import { LabInventory } from './lab-inventory.js';
import type { LabMachine, LabSystem, LabTenant } from './lab-system.js';

/** Each router has its own order of hosts: of so many one begins with the host that is wanted. */
const MAX_ROUTERS = 20;
const WEB_PORT = 80;

export interface LabEdgeOptions {
  muon: LabSystem;
  tenant: LabTenant;
  networkId: string;
  /** Stands behind both floating IPs. */
  machine: LabMachine;
  /** Carries the uplink first. */
  gateway: string;
}

/**
 * A router that one certain host leads outside, with a floating IP of a machine and one of a load balancer before it. With
 * the load balancer both are answered by that host.
 */
export class LabEdge {
  private constructor(
    private readonly options: LabEdgeOptions,
    readonly routerId: string,
    private readonly addresses: { machine: string; balancer: string },
    private readonly inventory: LabInventory,
  ) {}

  static async make(options: LabEdgeOptions): Promise<LabEdge> {
    const { muon, tenant, networkId, machine } = options;
    const ask = async (field: string, input: Record<string, unknown>, thing: string): Promise<string> => change(muon, tenant, field, input, thing);
    const inventory = new LabInventory(muon.incus, muon.lab.hosts, muon.installation);
    const { projectId } = tenant;
    const routerId = await chosenRouter(options, inventory, ask);
    await ask('updateRouter', { id: routerId, attach: [networkId] }, 'router');
    const { virtualMachine } = await tenant.api.request<{ virtualMachine: { ports: { id: string }[] } }>('query ($id: ID!) { virtualMachine(id: $id) { ports { id } } }', { id: machine.id });
    const portId = virtualMachine.ports[0]?.id ?? '';
    const listeners = [{ port: WEB_PORT, memberPort: WEB_PORT }];
    const loadBalancerId = await ask('createLoadBalancer', { networkId, name: 'front', listeners, members: [portId] }, 'loadBalancer');
    const floatingIp = async (name: string, target: Record<string, string>): Promise<string> => {
      const id = await ask('createFloatingIp', { projectId, name, externalNetwork: EXTERNAL_NETWORK }, 'floatingIp');
      await ask('associateFloatingIp', { id, ...target }, 'floatingIp');
      const { node } = await tenant.api.request<{ node: { address: string } }>('query ($id: ID!) { node(id: $id) { ... on FloatingIp { address } } }', { id });
      return node.address;
    };
    const addresses = { machine: await floatingIp('own', { portId }), balancer: await floatingIp('shared', { loadBalancerId }) };
    return new LabEdge(options, routerId, addresses, inventory);
  }

  /** Waits until the machine reaches the outside, and the outside both floating IPs. */
  async works(patienceMs: number): Promise<void> {
    const { muon, machine } = this.options;
    const looks: Record<string, () => Promise<boolean>> = {
      [`${machine.name} reaching the outside`]: async () => muon.reaches(machine.id, machineAddress(EXTERNAL)),
      'The floating IP of the machine answering': async () => answersPing(this.addresses.machine),
      'The floating IP of the load balancer answering': async () => answersWeb(this.addresses.balancer),
    };
    for (const [what, look] of Object.entries(looks)) await until(what, patienceMs, async () => ((await look()) ? true : undefined));
  }

  /** Which host carries the uplink, as OVN has it: one at most. */
  async gateway(): Promise<string | undefined> {
    return this.options.muon.lab.gatewayOf(this.routerId);
  }

  /** Every row of OVN that is of the router or on it. */
  async rows(): Promise<string[]> {
    const rows = await this.inventory.rows();
    return rows.filter(({ marks }) => marks.get('muon:router') === this.routerId).map(({ table, uuid }) => `${table} ${uuid}`).sort();
  }

  async close(): Promise<void> {
    await this.inventory.close();
  }
}

type Ask = (field: string, input: Record<string, unknown>, thing: string) => Promise<string>;

/** Makes routers until one has the host first, and takes the others away. */
async function chosenRouter({ tenant, gateway }: LabEdgeOptions, inventory: LabInventory, ask: Ask): Promise<string> {
  const others: string[] = [];
  for (let number = 0; number < MAX_ROUTERS; number += 1) {
    const input = { projectId: tenant.projectId, name: `router-${number}`, externalNetwork: EXTERNAL_NETWORK };
    const id = await ask('createRouter', input, 'router');
    const chassis = (await inventory.rows()).filter(({ table, marks }) => table === 'Gateway_Chassis' && marks.get('muon:router') === id);
    const [first] = chassis.toSorted((one, other) => Number(other.columns['priority']) - Number(one.columns['priority']));
    if (first?.columns['chassis_name'] === gateway) {
      for (const other of others) await ask('deleteRouter', { id: other }, 'router');
      return id;
    }
    others.push(id);
  }
  throw new Error(`no router of ${MAX_ROUTERS} begins with ${gateway}`);
}

/** Asks for a change, waits for its end. @returns the thing's id */
async function change(muon: LabSystem, { api }: LabTenant, field: string, input: Record<string, unknown>, thing: string): Promise<string> {
  const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
  const answer = await api.request<Record<string, Record<string, { id: string } | null>>>(
    `mutation ($input: ${type}!) { ${field}(input: $input) { ${thing} { id } operation { id } } }`,
    { input },
  );
  const operation = answer[field]?.['operation'];
  if (operation != null) await muon.ended(api, operation.id);
  return answer[field]?.[thing]?.id ?? '';
}

const answersPing = async (address: string): Promise<boolean> =>
  run('ping', ['-c', '1', '-W', '1', address]).then(
    () => true,
    () => false,
  );

async function answersWeb(address: string): Promise<boolean> {
  const answer = await fetch(`http://${address}:${WEB_PORT}/`, { signal: AbortSignal.timeout(2_000), headers: { connection: 'close' } }).catch(() => undefined);
  return answer?.ok === true;
}
