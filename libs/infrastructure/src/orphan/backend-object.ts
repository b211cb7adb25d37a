import type { Driver, DriverCall, Outcome } from '#drivers';

/** What a backend holds for Muon, as tombstones call it; in the order in which it can be deleted. */
export const BackendObjectKind = {
  MACHINE: 'machine',
  DISK: 'disk',
  FLOATING_IP: 'floating_ip',
  PORT: 'port',
  LOAD_BALANCER: 'load_balancer',
  ROUTER: 'router',
  PROVIDER_ROUTER: 'provider_router',
  EXTERNAL_NETWORK: 'external_network',
  NETWORK: 'network',
  SECURITY_GROUP: 'security_group',
  FIREWALL: 'firewall',
} as const;
export type BackendObjectKind = (typeof BackendObjectKind)[keyof typeof BackendObjectKind];

export const DELETION_ORDER: readonly BackendObjectKind[] = Object.values(BackendObjectKind);

export interface BackendObject {
  kind: BackendObjectKind;
  id: string;
}

export interface ListedObject extends BackendObject {
  installationId: string;
  /** The host that must answer for it to be deleted; null when any may. */
  hostName: string | null;
  /** Of a disk: the machine that has it. */
  attachedTo: string | null;
}

type Page = (call: DriverCall, after: string | null, limit: number) => Promise<ListedObject[]>;

/** How the objects of a backend are listed, as far as it can have any. */
export function listingsOf(driver: Driver): Page[] {
  const pages: Page[] = [];
  const { capabilities, compute, storage, network } = driver;
  if (capabilities.compute) {
    pages.push(async (call, after, limit) =>
      (await compute.listMachines(call, after, limit)).map(({ machineId: id, installationId, hostName }) => ({
        kind: 'machine',
        id,
        installationId,
        hostName,
        attachedTo: null,
      })),
    );
  }
  if (capabilities.storage) {
    pages.push(async (call, after, limit) =>
      (await storage.listDisks(call, after, limit)).map(({ diskId: id, installationId, hostName, attachedTo }) => ({
        kind: 'disk',
        id,
        installationId,
        hostName,
        attachedTo,
      })),
    );
  }
  if (capabilities.network) {
    pages.push(async (call, after, limit) =>
      (await network.listParts(call, after, limit)).map(({ kind, id, installationId }) => ({
        kind: KIND_OF_PART[kind],
        id,
        installationId,
        hostName: null,
        attachedTo: null,
      })),
    );
  }
  return pages;
}

const KIND_OF_PART = {
  NETWORK: 'network',
  PORT: 'port',
  LOAD_BALANCER: 'load_balancer',
  EXTERNAL_NETWORK: 'external_network',
  PROVIDER_ROUTER: 'provider_router',
  ROUTER: 'router',
  FLOATING_IP: 'floating_ip',
  SECURITY_GROUP: 'security_group',
  FIREWALL: 'firewall',
} as const;

/** Ensures that the object is absent. */
export async function deleteObject(driver: Driver, call: DriverCall, { kind, id }: BackendObject): Promise<Outcome<void>> {
  switch (kind) {
    case 'machine':
      return driver.compute.deleteMachine(call, id);
    case 'disk':
      return driver.storage.deleteDisk(call, id);
    case 'floating_ip':
      return driver.network.removeFloatingIp(call, id);
    case 'port':
      return driver.network.removePort(call, id);
    case 'load_balancer':
      return driver.network.removeLoadBalancer(call, id);
    case 'router':
      return driver.network.removeRouter(call, id);
    case 'provider_router':
      return driver.network.removeProviderRouter(call, id);
    case 'external_network':
      return driver.network.removeExternalNetwork(call, id);
    case 'network':
      return driver.network.removeNetwork(call, id);
    case 'security_group':
      return driver.network.removeSecurityGroup(call, id);
    case 'firewall':
      return driver.network.removeFirewall(call, id);
  }
}
