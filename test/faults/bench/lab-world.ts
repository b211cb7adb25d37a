import type { FaultScript, FaultState, MachineDetail, NetworkPartDetail, WorldObject } from '#driver-simulated';
import { hostDeviceOf, PowerState, type Driver, type DriverCall } from '#drivers';
import { InstanceKey, partOf, type LabInventory } from '../../support/lab-inventory.js';
import type { MarkedRow } from '../../support/lab-network.js';
import type { World } from './ground.js';
import type { ScriptedFaults } from './scripted-faults.js';

const POWERS: Readonly<Record<string, PowerState>> = { Running: PowerState.RUNNING, Stopped: PowerState.STOPPED, Frozen: PowerState.SUSPENDED };
const PAGE = 200;
const LOOK_TIMEOUT_MS = 30_000;
/** Switches are told of devices, and devices of ports, by programs that are at it when Muon's own work is done. */
const SWITCH_PATIENCE_MS = 30_000;
const PAUSE_MS = 200;

interface Parts {
  inventory: LabInventory;
  driver: Driver;
  faults: ScriptedFaults;
  /** Ports that the driver was ever asked to make. */
  portIds: ReadonlySet<string>;
}

/** What Incus, OVN and the switches of the hosts hold of one installation, read from themselves and not by drivers. */
export class LabWorld implements World {
  constructor(private readonly parts: Parts) {}

  async addFault(fault: FaultScript): Promise<number> {
    return this.parts.faults.add(fault);
  }

  async faults(): Promise<FaultState[]> {
    return this.parts.faults.states();
  }

  async clearFaults(): Promise<void> {
    this.parts.faults.clear();
  }

  async landPending(): Promise<void> {
    await this.parts.faults.land();
  }

  async objects(): Promise<WorldObject[]> {
    return this.parts.inventory.objects();
  }

  async machine(machineId: string): Promise<Pick<MachineDetail, 'cpu' | 'memoryMib' | 'power' | 'hostName'> | undefined> {
    const found = (await this.parts.inventory.instances()).find(({ config }) => config[InstanceKey.MACHINE] === machineId);
    if (found === undefined) return undefined;
    const { config, status, location } = found;
    const memoryMib = Number(/^(\d+)MiB$/.exec(config['limits.memory'] ?? '')?.[1]);
    return { cpu: Number(config['limits.cpu']), memoryMib, power: POWERS[status] ?? PowerState.UNKNOWN, hostName: location ?? '' };
  }

  async networkParts(tenantId: string): Promise<NetworkPartDetail[]> {
    const rows = await this.rowsOf(tenantId);
    return rows.flatMap((row) => partOf(row).map(({ kind, id }) => ({ kind, id, tenantId, revision: Number(row.marks.get('muon:revision')), specification: told(row, rows) })));
  }

  async remarks(tenantId: string): Promise<string[]> {
    return [...(await this.strayRows(tenantId)), ...(await this.unlisted()), ...(await this.untilSwitchesAreRight())];
  }

  /** Takes what is left with it. */
  async close(): Promise<void> {
    await this.parts.inventory.purge();
    await this.parts.inventory.close();
  }

  private async rowsOf(tenantId: string): Promise<MarkedRow[]> {
    return (await this.parts.inventory.rows()).filter(({ marks }) => (marks.get('muon:tenant') ?? '') === tenantId);
  }

  /** Rows that belong to parts must not outlive them; what a router of ours holds must say whose it is. */
  private async strayRows(tenantId: string): Promise<string[]> {
    const rows = await this.rowsOf(tenantId);
    const parts = new Set(rows.flatMap((row) => partOf(row).map(({ id }) => id)));
    const strays = rows.filter(({ marks }) => ownersOf(marks).some((id) => !parts.has(id)));
    const unmarked = await this.parts.inventory.network.unmarkedTranslations(rows);
    return [
      ...strays.map(({ table, marks }) => `row of ${table} that outlived what it belongs to: ${marks.get('muon:kind')} ${marks.get('muon:id')}`),
      ...unmarked.map((uuid) => `row of NAT that says not whose it is: ${uuid}`),
    ];
  }

  /** Drivers must list what there is, and nothing else. */
  private async unlisted(): Promise<string[]> {
    const { compute, storage, network } = this.parts.driver;
    const own = <Listed extends { installationId: string }>(listed: Listed[]): Listed[] => listed.filter((each) => each.installationId === this.parts.inventory.installation);
    const machines = own(await allPages((call, after) => compute.listMachines(call, after, PAGE), ({ machineId }) => machineId));
    const disks = own(await allPages((call, after) => storage.listDisks(call, after, PAGE), ({ diskId }) => diskId));
    const parts = own(await allPages((call, after) => network.listParts(call, after, PAGE), ({ id }) => id));
    const listed = [...machines.map(({ machineId }) => `MACHINE ${machineId}`), ...disks.map(({ diskId }) => `DISK ${diskId}`), ...parts.map(({ kind, id }) => `${kind} ${id}`)];
    const present = (await this.objects()).map(({ kind, id }) => `${kind} ${id}`);
    return [
      ...present.filter((each) => !listed.includes(each)).map((each) => `not listed by the driver: ${each}`),
      ...listed.filter((each) => !present.includes(each)).map((each) => `listed by the driver, and not there: ${each}`),
    ];
  }

  private async untilSwitchesAreRight(): Promise<string[]> {
    const deadline = Date.now() + SWITCH_PATIENCE_MS;
    for (;;) {
      const wrong = await this.wrongDevices();
      if (wrong.length === 0 || Date.now() > deadline) return wrong;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Each port of a running machine is bound on its host and nowhere else, and those of no machine nowhere. */
  private async wrongDevices(): Promise<string[]> {
    const running = (await this.parts.inventory.instances()).filter(({ status }) => status === 'Running');
    const wanted = new Map(running.flatMap(({ devices, location }) => Object.values(devices ?? {}).map((device) => [device['host_name'] ?? '', location ?? ''])));
    const bound = await this.parts.inventory.network.devices();
    return [...this.parts.portIds].flatMap((portId) => {
      const device = hostDeviceOf(portId);
      const [here, ...more] = bound.filter((each) => each.device === device);
      const seen = [here, ...more].map((each) => (each === undefined ? 'nowhere' : `on ${each.host} for ${each.portId}`)).join(', ');
      const host = wanted.get(device);
      const shall = host === undefined ? 'nowhere' : `on ${host} for ${portId}`;
      return seen === shall ? [] : [`port ${portId} is bound ${seen} and shall be ${shall}`];
    });
  }
}

/** The parts that a row belongs to or builds on. */
function ownersOf(marks: MarkedRow['marks']): string[] {
  const names = ['network', 'router', 'target', ...(marks.get('muon:kind') === 'RULE' ? ['id'] : [])];
  return names.flatMap((name) => marks.get(`muon:${name}`) ?? []);
}

/** What OVN was told of a part, in the words of a specification: of networks and ports from their rows, of others as it was noted there. */
function told({ marks, columns }: MarkedRow, all: readonly MarkedRow[]): Record<string, unknown> {
  const kind = marks.get('muon:kind');
  if (kind !== 'NETWORK' && kind !== 'PORT') return JSON.parse(marks.get('muon:specification') ?? '{}') as Record<string, unknown>;
  if (kind === 'NETWORK') {
    const own = all.filter((row) => row.table === 'DHCP_Options' && row.marks.get('muon:network') === marks.get('muon:id'));
    return { subnets: own.map((row) => ({ subnetId: row.marks.get('muon:id'), cidr: row.columns['cidr'] })) };
  }
  const [macAddress, ipAddress] = ([...((columns['addresses'] as ReadonlySet<string> | undefined) ?? [])][0] ?? '').split(' ');
  return { macAddress, ipAddress, hostName: marks.get('muon:host') };
}

async function allPages<Listed>(page: (call: DriverCall, after: string | null) => Promise<Listed[]>, idOf: (listed: Listed) => string): Promise<Listed[]> {
  const all: Listed[] = [];
  for (;;) {
    const call = { idempotencyKey: 'faults/look', timeoutMs: LOOK_TIMEOUT_MS, signal: new AbortController().signal };
    const next = await page(call, all.length === 0 ? null : idOf(all.at(-1) as Listed));
    all.push(...next);
    if (next.length < PAGE) return all;
  }
}
