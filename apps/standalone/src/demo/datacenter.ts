import { SimulatedWorld } from '#driver-simulated';
import { Refused, type DemoApi } from './api.js';
import { ensure, type Named } from './ensure.js';
import { say } from './terminal.js';

export interface Datacenter {
  backendId: string;
  world: SimulatedWorld;
}

const ZONES = [
  { name: 'north', racks: ['north-a', 'north-b'] },
  { name: 'south', racks: ['south-a'] },
];
const HOSTS_PER_RACK = 2;

/** The operator describes the datacenter: a backend, zones, racks and hosts, what sizes are on offer, and an image. */
export async function describeDatacenter(api: DemoApi, simulationUrl: string): Promise<Datacenter> {
  const backendId = await ensure(
    async () => {
      const { createBackend } = await api.request<{ createBackend: { backend: { id: string } } }>(
        'mutation ($input: CreateBackendInput!) { createBackend(input: $input) { backend { id } } }',
        { input: { name: 'simulated', kind: 'simulated', ...separated(simulationUrl), options: { delayMs: { min: 40, max: 250 } } } },
      );
      return createBackend.backend.id;
    },
    async () => (await api.request<{ backends: Named }>('{ backends { nodes { id name } } }')).backends,
    'simulated',
  );
  const world = await SimulatedWorld.open(simulationUrl, backendId);
  for (const zone of ZONES) await describeZone(api, world, backendId, zone);
  say.done(`a backend, ${ZONES.length} zones, ${ZONES.flatMap((zone) => zone.racks).length} racks with ${HOSTS_PER_RACK} hosts each`);
  await describeOffers(api);
  say.done('flavors "small" and "medium", the image "debian-12", and Kubernetes 1.34.2');
  return { backendId, world };
}

/** The password goes apart from the address, and is kept encrypted. */
function separated(address: string): { endpoint: string; secret: string } {
  const url = new URL(address);
  const secret = decodeURIComponent(url.password);
  url.password = '';
  return { endpoint: url.href, secret };
}

async function describeZone(api: DemoApi, world: SimulatedWorld, backendId: string, zone: (typeof ZONES)[number]): Promise<void> {
  const zoneId = await ensure(
    async () => {
      const made = await api.request<{ createZone: { zone: { id: string } } }>(
        'mutation ($name: String!) { createZone(input: { name: $name }) { zone { id } } }',
        { name: zone.name },
      );
      return made.createZone.zone.id;
    },
    async () => (await api.request<{ zones: Named }>('{ zones { nodes { id name } } }')).zones,
    zone.name,
  );
  for (const name of zone.racks) {
    const rackId = await ensure(
      async () => {
        const made = await api.request<{ createRack: { rack: { id: string } } }>(
          'mutation ($zoneId: ID!, $name: String!) { createRack(input: { zoneId: $zoneId, name: $name }) { rack { id } } }',
          { zoneId, name },
        );
        return made.createRack.rack.id;
      },
      async () => (await api.request<{ racks: Named }>('{ racks { nodes { id name } } }')).racks,
      name,
    );
    const pools = [{ name: 'local', capacityGib: 2000 }];
    await world.createHosts({ prefix: name, count: HOSTS_PER_RACK, cpu: 16, memoryMib: 65_536, pools, rack: name });
    await registerHosts(api, { backendId, zoneId, rackId, namePrefix: `${name}-` });
  }
}

async function registerHosts(api: DemoApi, input: Record<string, string>): Promise<void> {
  const { hosts } = await api.request<{ hosts: Named }>('query ($rackId: ID!) { hosts(rackId: $rackId) { nodes { id name } } }', { rackId: input.rackId });
  if (hosts.nodes.length > 0) return;
  await api.request('mutation ($input: RegisterHostsInput!) { registerHosts(input: $input) { count } }', { input });
}

async function describeOffers(api: DemoApi): Promise<void> {
  const offers = [
    'mutation { createFlavor(input: { name: "small", cpu: 1, memoryMib: 1024, diskGib: 10 }) { flavor { id } } }',
    'mutation { createFlavor(input: { name: "medium", cpu: 2, memoryMib: 4096, diskGib: 20 }) { flavor { id } } }',
    'mutation { createImage(input: { name: "debian-12", reference: "debian-12", operatingSystem: "Debian 12", minimumDiskGib: 4 }) { image { id } } }',
    'mutation { createClusterVersion(input: { name: "kubernetes-1-34-2", kind: KUBERNETES, release: "1.34.2", image: "debian-12" }) { clusterVersion { id } } }',
  ];
  for (const offer of offers) {
    await api.request(offer).catch((error: unknown) => {
      if (!(error instanceof Refused) || error.code !== 'ALREADY_EXISTS') throw error;
    });
  }
}
