import type { JsonObject } from '#core';
import { FlavorService, ImageService, VirtualMachineService } from '#compute';
import { SimulatedWorld } from '#driver-simulated';
import type { Access } from '#identity';
import { BackendService, HostRegistration, ZoneService } from '#infrastructure';
import { NetworkService } from '#network';
import { ProjectService, TenantService } from '#tenancy';
import { systemAccess } from '#testing';
import type { House } from '../../../apps/composition/src/house.js';

/** Sizes of which more than any measure takes. */
const HOSTS = { prefix: 'host', count: 100, cpu: 256, memoryMib: 1_048_576, pools: [{ name: 'local', capacityGib: 20_000 }] };
export const FLAVOR = 'small';
export const IMAGE = 'debian';

export interface BenchProject {
  tenantId: string;
  projectId: string;
  networkId: string;
}

export interface TenantOptions {
  projects?: number;
  /** The tenant's limit of machines. */
  machines?: number;
  /** Names of the zones that it may use. */
  zones?: string[];
}

/** What operators and providers have made before the measures begin. */
export class Datacenter {
  readonly access: Access = systemAccess();
  private numbers = 0;

  private constructor(
    private readonly house: House,
    readonly simulationUrl: string,
    readonly backendId: string,
    readonly zoneName: string,
  ) {}

  /** One zone of a hundred large simulated hosts that do everything at once, a flavor and an image. */
  static async make(house: House, simulationUrl: string): Promise<Datacenter> {
    const access = systemAccess();
    const endpoint = new URL(simulationUrl);
    const secret = decodeURIComponent(endpoint.password);
    endpoint.password = '';
    const backend = { name: 'bench', kind: 'simulated', endpoint: endpoint.href, secret };
    const backendId = resultId((await find(house, BackendService).create(access, backend)).result);
    const datacenter = new Datacenter(house, simulationUrl, backendId, 'zone-1');
    await datacenter.addZone('zone-1', HOSTS);
    await find(house, FlavorService).create(access, { name: FLAVOR, cpu: 1, memoryMib: 512, diskGib: 10 });
    await find(house, ImageService).create(access, { name: IMAGE, reference: 'debian-12', operatingSystem: 'Debian 12', minimumDiskGib: 2 });
    return datacenter;
  }

  /** @returns its id */
  async addZone(name: string, hosts: Parameters<SimulatedWorld['createHosts']>[0]): Promise<string> {
    const zoneId = resultId((await this.service(ZoneService).create(this.access, { name })).result);
    const world = await SimulatedWorld.open(this.simulationUrl, this.backendId);
    try {
      await world.createHosts(hosts);
    } finally {
      await world.close();
    }
    const input = { backendId: this.backendId, zoneId, namePrefix: `${hosts.prefix}-`, cpuOvercommit: 1 };
    await this.service(HostRegistration).register(this.access, input);
    return zoneId;
  }

  /** A tenant with projects, each with a network of 65,000 addresses. */
  async addTenant(options: TenantOptions = {}): Promise<BenchProject[]> {
    this.numbers += 1;
    const { projects = 1, machines = 1_000_000, zones = [this.zoneName] } = options;
    const quota = [{ resourceKey: 'vm.count', zoneId: null, limit: machines }];
    const input = { name: `tenant-${this.numbers}`, owners: [{ name: 'owner' }], zones, quota };
    const tenantId = resultId((await this.service(TenantService).onboard(this.access, input)).result);
    const made: BenchProject[] = [];
    for (let number = 1; number <= projects; number += 1) {
      const project = await this.service(ProjectService).create(this.access, { tenantId, name: `project-${number}` });
      const projectId = resultId(project.result);
      const network = { projectId, name: 'net', subnet: { cidr: '10.0.0.0/16' } };
      const { result } = await this.service(NetworkService).create(this.access, network);
      made.push({ tenantId, projectId, networkId: resultId(result) });
    }
    return made;
  }

  async addMachine({ projectId, networkId }: BenchProject, name: string): Promise<void> {
    await this.service(VirtualMachineService).create(this.access, { projectId, networkId, name, flavor: FLAVOR, image: IMAGE });
  }

  service<Service extends object>(type: new (...parts: never[]) => Service): Service {
    return find(this.house, type);
  }
}

/** The id of what a command made. */
function resultId(result: JsonObject): string {
  if (typeof result.id !== 'string') throw new Error(`nothing was made: ${JSON.stringify(result)}`);
  return result.id;
}

function find<Service extends object>(house: House, type: new (...parts: never[]) => Service): Service {
  const found = house.services.find((service) => service instanceof type);
  if (found === undefined) throw new Error(`the house has no ${type.name}`);
  return found as Service;
}
