import { readFile } from 'node:fs/promises';
import { DemoApi, Refused } from '../../../standalone/src/demo/api.js';
import { ensure, type Named } from '../../../standalone/src/demo/ensure.js';
import { Failure } from '../failure.js';
import { incusOf } from '../host/host.js';
import { findMachines } from '../host/namespace.js';
import { cidrOf, DEBIAN_IMAGE, DOCKER_RELEASE, EXTERNAL, EXTERNAL_NETWORK, type HostLayout, layoutOf, TINY_IMAGE } from '../layout.js';
import type { StateFolder } from '../state.js';
import type { Note } from '../up.js';
import { BACKEND, describeBackend, type LabBackend } from './backend.js';
import { registerExternalNetwork } from './external-network.js';

export interface RegisterOptions {
  folder: StateFolder;
  /** Of the api, as `http://127.0.0.1:8080`. */
  url: string;
  /** An owner's of the system. */
  token: string;
  note: Note;
}

/** What users may ask for, by image; memory in MiB. */
const FLAVORS = [
  { name: 'tiny', cpu: 1, memoryMib: 64, diskGib: 1 },
  { name: 'node', cpu: 1, memoryMib: 768, diskGib: 4 },
];
const IMAGES = [
  { name: TINY_IMAGE, operatingSystem: 'Busybox', minimumDiskGib: 1 },
  { name: DEBIAN_IMAGE, operatingSystem: 'Debian 12', minimumDiskGib: 2 },
];

/** Versions of clusters whose nodes are made of the image. */
const CLUSTER_VERSIONS = [{ name: 'swarm', kind: 'SWARM', release: DOCKER_RELEASE, image: DEBIAN_IMAGE }];

/** Tells a running Muon of the lab: backend, zones, racks, hosts with their pools, flavors, images and cluster versions. May be repeated. */
export async function register({ folder, url, token, note }: RegisterOptions): Promise<{ backendId: string }> {
  const state = await folder.read();
  const [machine] = (await findMachines()).filter(({ stateFolder, name }) => stateFolder === folder.path && name.startsWith('h'));
  if (state?.before === undefined || machine === undefined) throw new Failure('There is no lab. Raise it first: lab up');
  const layout = layoutOf(state.hosts);
  const api = new DemoApi(url, token);
  const incus = incusOf(machine);
  try {
    const images = new Set((await incus.images.aliases()).map(({ name }) => name));
    const backendId = await registerBackend(api, await describeBackend(incus, layout, folder));
    note(`backend  ${BACKEND}, ${backendId}`);
    for (const host of layout.hosts) await registerHost(api, backendId, host);
    note(`hosts    ${layout.hosts.map(({ name, zone, rack }) => `${name} (${zone}, ${rack})`).join(', ')}`);
    await registerExternalNetwork(api, backendId);
    note(`outside  ${EXTERNAL_NETWORK}, ${cidrOf(EXTERNAL)}`);
    for (const flavor of FLAVORS) await offer(api, 'Flavor', flavor);
    for (const image of IMAGES.filter(({ name }) => images.has(name))) await offer(api, 'Image', { ...image, reference: image.name });
    for (const version of CLUSTER_VERSIONS.filter(({ image }) => images.has(image))) await offer(api, 'ClusterVersion', version);
    return { backendId };
  } catch (error) {
    if (error instanceof Refused) throw new Failure(`Muon refused: ${error.code}  ${error.message}`);
    if (error instanceof TypeError) throw new Failure(`Muon does not answer at ${url}: ${error.cause instanceof Error ? error.cause.message : error.message}`);
    throw error;
  } finally {
    incus.close();
    await api.close();
  }
}

/** The token of `npm start`'s first owner, where none was given. */
export async function ownerToken(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    throw new Failure(`There is no token in ${file}: start Muon first (npm start), or give one by MUON_TOKEN.`);
  }
}

/** One of an earlier lab is given the keys of this one. */
async function registerBackend(api: DemoApi, backend: LabBackend): Promise<string> {
  const named = async (): Promise<Named> => (await api.request<{ backends: Named }>('{ backends { nodes { id name } } }')).backends;
  const known = (await named()).nodes.find(({ name }) => name === BACKEND);
  if (known !== undefined) {
    await api.request('mutation ($input: UpdateBackendInput!) { updateBackend(input: $input) { backend { id } } }', { input: { id: known.id, ...backend } });
    return known.id;
  }
  const made = await api.request<{ createBackend: { backend: { id: string } } }>(
    'mutation ($input: CreateBackendInput!) { createBackend(input: $input) { backend { id } } }',
    { input: { name: BACKEND, kind: 'incus', ...backend } },
  );
  return made.createBackend.backend.id;
}

async function registerHost(api: DemoApi, backendId: string, { name, zone, rack }: HostLayout): Promise<void> {
  const zoneId = await ensure(
    async () =>
      (
        await api.request<{ createZone: { zone: { id: string } } }>('mutation ($name: String!) { createZone(input: { name: $name }) { zone { id } } }', {
          name: zone,
        })
      ).createZone.zone.id,
    async () => (await api.request<{ zones: Named }>('{ zones { nodes { id name } } }')).zones,
    zone,
  );
  const rackId = await ensure(
    async () =>
      (
        await api.request<{ createRack: { rack: { id: string } } }>(
          'mutation ($zoneId: ID!, $name: String!) { createRack(input: { zoneId: $zoneId, name: $name }) { rack { id } } }',
          { zoneId, name: rack },
        )
      ).createRack.rack.id,
    async () => (await api.request<{ racks: Named }>('query ($zoneId: ID!) { racks(zoneId: $zoneId) { nodes { id name } } }', { zoneId })).racks,
    rack,
  );
  const { hosts } = await api.request<{ hosts: Named }>('query ($rackId: ID!) { hosts(rackId: $rackId) { nodes { id name } } }', { rackId });
  if (hosts.nodes.some((host) => host.name === name)) return;
  await api.request('mutation ($input: RegisterHostsInput!) { registerHosts(input: $input) { count } }', { input: { backendId, zoneId, rackId, hosts: [{ name }] } });
}

/** What is offered already stays as it is. */
async function offer(api: DemoApi, noun: 'Flavor' | 'Image' | 'ClusterVersion', input: Record<string, unknown>): Promise<void> {
  const field = `create${noun}`;
  const made = noun.charAt(0).toLowerCase() + noun.slice(1);
  try {
    await api.request(`mutation ($input: Create${noun}Input!) { ${field}(input: $input) { ${made} { id } } }`, { input });
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'ALREADY_EXISTS') throw error;
  }
}
