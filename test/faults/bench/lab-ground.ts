import { typeidUnboxed } from 'typeid-js';
import { FlavorService, ImageService } from '#compute';
import type { Logger } from '#core';
import type { DriverFactory, PortSpecification } from '#drivers';
import type { IncusClient } from '#incus';
import { BackendService, HostRegistration, installationId, ZoneService, type CreateBackendInput } from '#infrastructure';
import { driversOf } from '../../../apps/composition/src/backends.js';
import { layoutOf, PHYSICAL_NETWORK, TINY_IMAGE } from '../../../apps/lab/src/layout.js';
import { describeBackend } from '../../../apps/lab/src/registration/backend.js';
import { Lab } from '../../support/lab.js';
import { LabInventory } from '../../support/lab-inventory.js';
import { aroundCalls } from './around-calls.js';
import type { FaultHouse } from './fault-house.js';
import type { Ground, Hosts, Site } from './ground.js';
import { idIn } from './ids.js';
import { LabWorld } from './lab-world.js';
import { ScriptedFaults } from './scripted-faults.js';

/** As in everyday. */
const LEASE_MS = 2100;
const CALL_TIMEOUT_MS = 60_000;
const PATIENCE_MS = 180_000;
/** Machines that wait for the end of all runs share the hosts. */
const CPU_OVERCOMMIT = 16;

/** The lab, its Incus and its OVN, for one lane of one house; houses with installations of their own can share it. */
export class LabGround implements Ground {
  /** Outside is a VLAN on which nobody listens: several houses have the same addresses there. */
  readonly catalogue = { flavors: { small: 'tiny', large: 'tiny' }, image: TINY_IMAGE, outside: { physicalNetwork: PHYSICAL_NETWORK, vlan: 4001 } };
  readonly leaseMs = LEASE_MS;
  readonly callTimeoutMs = CALL_TIMEOUT_MS;
  /** When a tenant leaves, more at once would only wait for each other. */
  readonly backendLimit = 4;
  readonly patienceMs = PATIENCE_MS;
  private readonly faults = new ScriptedFaults();
  private readonly portIds = new Set<string>();

  private constructor(
    private readonly lab: Lab,
    private readonly incus: IncusClient,
  ) {}

  static async open(): Promise<LabGround> {
    const lab = await Lab.find();
    return new LabGround(lab, await lab.incus('h1'));
  }

  drivers(log: Logger): DriverFactory[] {
    const real = driversOf({ MUON_FENCE_COMMAND: undefined }, log).filter(({ kind }) => kind === 'incus');
    return real.map((factory) => this.faults.wrap(this.notingPorts(factory)));
  }

  async openSite(bench: FaultHouse, number: number): Promise<Site> {
    if (number > 1) throw new Error('hosts of the lab can be registered once with an installation');
    // Databases of houses are copies of one: each must know its own objects in the lab from those of the others.
    await bench.database.dataSource.query('UPDATE installation SET id = $1', [typeidUnboxed('ins')]);
    const backend = await describeBackend(this.incus, layoutOf(this.lab.hosts.length), this.lab.folder);
    const { result } = await bench.service(BackendService).create(bench.access, { name: 'lab', kind: 'incus', ...backend } as CreateBackendInput);
    const backendId = idIn(result);
    await makeCatalogue(bench);
    const hosts = await this.register(bench, backendId);
    const driver = await bench.house.drivers.driver(backendId);
    const world = new LabWorld({
      inventory: new LabInventory(this.incus, this.lab.hosts, await installationId(bench.database)),
      driver,
      faults: this.faults,
      portIds: this.portIds,
    });
    const stop = new AbortController();
    const tending = driver.tend(stop.signal);
    return {
      backendId,
      world,
      hosts: async () => hosts,
      close: async () => {
        stop.abort();
        await tending;
        await world.close();
      },
    };
  }

  async close(): Promise<void> {
    this.incus.close();
  }

  /** Whose devices must be gone from the hosts' switches when they are gone themselves. */
  private notingPorts(factory: DriverFactory): DriverFactory {
    return aroundCalls(factory, async ({ method, call, parameters, make }) => {
      if (method === 'ensurePort') this.portIds.add((parameters[0] as PortSpecification).portId);
      return make(call);
    });
  }

  /** All hosts in one zone. */
  private async register(bench: FaultHouse, backendId: string): Promise<Hosts> {
    const zoneId = idIn((await bench.service(ZoneService).create(bench.access, { name: 'lab' })).result);
    const hostNames = this.lab.hosts.map(({ name }) => name);
    const hosts = hostNames.map((name) => ({ name }));
    const { result } = await bench.service(HostRegistration).register(bench.access, { backendId, zoneId, hosts, cpuOvercommit: CPU_OVERCOMMIT });
    return { zoneId, hostIds: result.hostIds as string[], hostNames };
  }
}

async function makeCatalogue(bench: FaultHouse): Promise<void> {
  await bench.service(FlavorService).create(bench.access, { name: 'tiny', cpu: 1, memoryMib: 64, diskGib: 1 });
  const image = { name: TINY_IMAGE, reference: TINY_IMAGE, operatingSystem: 'Busybox', minimumDiskGib: 1 };
  await bench.service(ImageService).create(bench.access, image);
}
