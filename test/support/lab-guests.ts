import { typeidUnboxed } from 'typeid-js';
import { openOvnNetwork, type OvnNetworkDriver } from '#driver-ovn';
import { hostDeviceOf, type DriverCall, type Outcome, type PortSpecification } from '#drivers';
import type { CommandResult, IncusClient } from '#incus';
import { CONTROLLER, NORTHBOUND_PORT, SOUTHBOUND_PORT } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import { createTiny, Lab, removeInstance, until } from './lab.js';

const PATIENCE_MS = 45_000;
const CALL_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 20_000;
const REQUEST = 'GET / HTTP/1.0\r\n\r\n';
/** Of the northbound database, what a driver of networks writes. */
const TABLES = [
  'Logical_Router',
  'Logical_Router_Port',
  'Logical_Router_Static_Route',
  'NAT',
  'Gateway_Chassis',
  'HA_Chassis_Group',
  'HA_Chassis',
  'Logical_Switch',
  'Logical_Switch_Port',
  'Load_Balancer',
  'DHCP_Options',
];

/** An instance of the tiny image on a port; its web server answers with its name. */
export interface Guest {
  name: string;
  port: PortSpecification;
}

/** Guests on networks that a spec makes with the driver itself, without a Muon: whom they reach, and who reaches them. */
export class LabGuests {
  private constructor(
    readonly lab: Lab,
    readonly incus: IncusClient,
    readonly driver: OvnNetworkDriver,
    private readonly installationId: string,
    private readonly guests: readonly Guest[],
  ) {}

  static async open(installationId: string, guests: readonly Guest[]): Promise<LabGuests> {
    const lab = await Lab.find();
    const incus = await lab.incus('h1');
    await lab.settled(incus);
    const at = (port: number): string[] => [`tcp:${CONTROLLER.managementAddress}:${port}`];
    const driver = await openOvnNetwork({ backendId: 'lab', installationId, northbound: at(NORTHBOUND_PORT), southbound: at(SOUTHBOUND_PORT) });
    return new LabGuests(lab, incus, driver, installationId, guests);
  }

  /** Makes a call of the driver until it is done. */
  async done<Value>(attempt: (call: DriverCall, driver: OvnNetworkDriver) => Promise<Outcome<Value>>): Promise<Value> {
    const { value } = await until('The backend’s answer', PATIENCE_MS, async () => {
      const call = { idempotencyKey: typeidUnboxed('call'), timeoutMs: CALL_TIMEOUT_MS, signal: new AbortController().signal };
      const outcome = await attempt(call, this.driver);
      return outcome.state === 'DONE' ? { value: outcome.value } : undefined;
    });
    return value;
  }

  async comesTrue(what: string, look: () => Promise<boolean>): Promise<void> {
    await until(what, PATIENCE_MS, async () => ((await look()) ? true : undefined));
  }

  /** Ports, and guests that run on them; the networks are there. */
  async start(): Promise<void> {
    await Promise.all(
      this.guests.map(async ({ name, port }) => {
        await this.done(async (call, driver) => driver.ensurePort(call, port));
        const device = hostDeviceOf(port.portId);
        const card = { type: 'nic', nictype: 'bridged', parent: 'br-int', name: 'eth0', host_name: device, hwaddr: port.macAddress };
        await createTiny(this.incus, name, port.hostName, { eth0: card });
        await this.incus.instances.ensurePower(name, { action: 'start' });
        await this.lab.switchOf(port.hostName, 'set', 'Interface', device, `external_ids:iface-id=${port.portId}`);
      }),
    );
  }

  /** Guests and their ports; the networks are the spec's to remove. */
  async remove(): Promise<void> {
    for (const { name } of this.guests) await removeInstance(this.incus, name);
    for (const { port } of this.guests) await this.done(async (call, driver) => driver.removePort(call, port.portId));
  }

  /** Rows of the driver's that are in OVN. */
  async rows(): Promise<string[]> {
    const found = await Promise.all(
      TABLES.map(async (table) => {
        const rows = await this.lab.northbound('--bare', '--columns=_uuid', 'find', table, `external_ids:muon\\:installation=${this.installationId}`);
        return rows.split('\n').flatMap((row) => (row === '' ? [] : [`${table} ${row}`]));
      }),
    );
    return found.flat();
  }

  async close(): Promise<void> {
    await this.driver[Symbol.asyncDispose]();
    this.incus.close();
  }

  async execute({ name }: Guest, command: string[], input?: string): Promise<CommandResult> {
    return this.incus.instances.execute(name, { command, timeoutMs: COMMAND_TIMEOUT_MS, ...(input === undefined ? {} : { input }) });
  }

  async pings(from: Guest, to: string): Promise<boolean> {
    return (await this.execute(from, ['ping', '-c', '1', '-W', '1', to])).exitCode === 0;
  }

  /** The name of the guest whose web server answers; undefined when none does. */
  async fetches(from: Guest, to: string, port = 80): Promise<string | undefined> {
    return this.nameIn((await this.execute(from, ['nc', '-w', '2', to, String(port)], REQUEST)).stdout);
  }

  async pingsFromOutside(to: string): Promise<boolean> {
    return run('ping', ['-c', '1', '-W', '1', to]).then(
      () => true,
      () => false,
    );
  }

  async fetchesFromOutside(to: string, port = 80): Promise<string | undefined> {
    const answer = await fetch(`http://${to}:${port}/`, { signal: AbortSignal.timeout(2_000), headers: { connection: 'close' } }).catch(() => undefined);
    return answer === undefined ? undefined : this.nameIn(await answer.text());
  }

  private nameIn(text: string): string | undefined {
    return this.guests.find(({ name }) => text.includes(name))?.name;
  }
}
