import { vi } from 'vitest';
import { Database } from '#database';
import type { WorldObject } from '#driver-simulated';
import { installationId } from '#infrastructure';
import { TINY_IMAGE } from '../../apps/lab/src/layout.js';
import { register } from '../../apps/lab/src/registration/register.js';
import { DemoApi } from '../../apps/standalone/src/demo/api.js';
import { describeDatacenter } from '../../apps/standalone/src/demo/datacenter.js';
import { Lab, until } from './lab.js';
import { LabInventory } from './lab-inventory.js';
import { withdrawShared } from './outside.js';
import type { System } from './system.js';

/** Whether acceptance is run on the lab's hosts and network instead of simulated ones (`npm run lab-acceptance`). */
export const isOnLab = process.env['MUON_TEST_BACKEND'] === 'lab';

const OPERATION_PATIENCE_MS = 180_000;
const TENANT_PATIENCE_MS = 60_000;

/** The lab's image is a megabyte, and its hosts are small; the names are those of the simulated datacenter. */
const LAB_FLAVORS = [
  { name: 'small', cpu: 1, memoryMib: 64, diskGib: 1 },
  { name: 'medium', cpu: 2, memoryMib: 128, diskGib: 1 },
];
const LAB_IMAGE = { name: 'debian-12', reference: TINY_IMAGE, operatingSystem: 'Busybox', minimumDiskGib: 1 };
const LAB_VERSION = { name: 'kubernetes-1-34-2', kind: 'KUBERNETES', release: '1.34.2', image: 'debian-12' };

/** Zones with hosts, flavors "small" and "medium", and the image "debian-12", on whatever backend the run is for. */
export interface TestDatacenter {
  readonly backendId: string;
  /** Everything of this Muon that the backend holds, read from the backend itself. */
  objects(): Promise<WorldObject[]>;
  /** On the lab all tenants leave and what operators made for them all goes, and it is an error if anything is left of them. */
  close(): Promise<void>;
}

export async function describeTestDatacenter(system: System): Promise<TestDatacenter> {
  const api = new DemoApi(system.owner.url, system.owner.token ?? '');
  try {
    return isOnLab ? await registerLab(system, api) : await describeSimulated(system, api);
  } finally {
    await api.close();
  }
}

async function describeSimulated({ simulationUrl }: System, api: DemoApi): Promise<TestDatacenter> {
  const quiet = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const { backendId, world } = await describeDatacenter(api, simulationUrl);
  quiet.mockRestore();
  return { backendId, objects: () => world.objects(), close: () => world.close() };
}

async function registerLab(system: System, api: DemoApi): Promise<TestDatacenter> {
  const lab = await Lab.find();
  const { backendId } = await register({ folder: lab.folder, url: system.owner.url, token: system.owner.token ?? '', note: () => undefined });
  for (const input of LAB_FLAVORS) await api.request('mutation ($input: CreateFlavorInput!) { createFlavor(input: $input) { flavor { id } } }', { input });
  await api.request('mutation ($input: CreateImageInput!) { createImage(input: $input) { image { id } } }', { input: LAB_IMAGE });
  const version = 'mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id } } }';
  await api.request(version, { input: LAB_VERSION });
  const incus = await lab.incus('h1');
  const inventory = new LabInventory(incus, lab.hosts, await installationOf(system.databaseUrl));
  return {
    backendId,
    objects: () => inventory.objects(),
    async close() {
      try {
        await offboardAll(system);
        await withdrawShared(system.owner);
        const left = await inventory.remains();
        if (left.length > 0) throw new Error(`left in the lab: ${left.join(', ')}`);
      } finally {
        await inventory.purge();
        await inventory.close();
        incus.close();
      }
    },
  };
}

async function installationOf(databaseUrl: string): Promise<string> {
  const database = await Database.open({ url: databaseUrl, rooms: [], poolSize: 1, applicationName: 'acceptance' });
  try {
    return await installationId(database);
  } finally {
    await database.close();
  }
}

/** All tenants that are left go, with all that is theirs; what is under way for them is called off. */
async function offboardAll({ owner }: System): Promise<void> {
  const { tenants } = await owner.request<{ tenants: { nodes: { id: string }[] } }>('{ tenants(first: 100) { nodes { id } } }');
  await Promise.all(
    tenants.nodes.map(async ({ id }) => {
      const started = await until(`The offboarding of ${id}`, TENANT_PATIENCE_MS, async () => {
        const { offboardTenant } = await owner.request<{ offboardTenant: { operation: { id: string } } }>(
          'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
          { id },
        );
        return offboardTenant.operation;
      });
      const end = await until(`The end of ${started.id}`, OPERATION_PATIENCE_MS, async () => {
        const { operation } = await owner.request<{ operation: { state: string; error: { code: string; message: string } | null } }>(
          'query ($id: ID!) { operation(id: $id) { state error { code message } } }',
          { id: started.id },
        );
        return ['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'].includes(operation.state) ? operation : undefined;
      });
      if (end.state !== 'SUCCEEDED') throw new Error(`tenant ${id} could not leave: ${end.state} ${end.error?.code} ${end.error?.message}`);
    }),
  );
}
