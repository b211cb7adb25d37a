import { statement } from '#database';
import type { FloatingIpRow, PlannedPort, RouterRow } from '#network';
import { networkBench, type NetworkBench } from './network.js';
import { systemAccess } from './room-database.js';

const addresses = statement<{ address: string; owner_id: string }, [projectId: string]>(
  'testing.edge_addresses',
  'SELECT host(address) AS address, owner_id FROM external_address WHERE project_id = $1 ORDER BY address',
);

/** A network on a router with an uplink, and a port there. */
export interface RoutedNetwork {
  projectId: string;
  networkId: string;
  routerId: string;
  port: PlannedPort;
}

/** Routers and floating IPs on such a bench, with an external network. */
export interface EdgeBench extends NetworkBench {
  /** 198.51.100.0/24 */
  readonly outside: string;
  makeExternal(cidr: string, pools?: { first: string; last: string }[]): Promise<string>;
  makeNetwork(projectId: string, realised?: boolean): Promise<string>;
  makeRouter(projectId: string, networkIds: string[], externalNetwork?: string | null): Promise<string>;
  makeFloating(projectId: string, externalNetwork?: string): Promise<string>;
  balancerIn(networkId: string): Promise<string>;
  routed(): Promise<RoutedNetwork>;
  router(id: unknown): Promise<RouterRow | undefined>;
  floatingIp(id: unknown): Promise<FloatingIpRow | undefined>;
  /** Whoever has addresses of external networks. */
  held(projectId: string): Promise<string[]>;
  heldAddresses(projectId: string): Promise<{ address: string; owner_id: string }[]>;
}

export async function edgeBench(projectCount?: number): Promise<EdgeBench> {
  const { findFloatingIps, findRouters } = await import('#network');
  const access = systemAccess();
  const bench = await networkBench(projectCount);
  const { room, center } = bench;
  const heldAddresses = async (projectId: string) => room.database.rows(addresses, projectId);

  async function makeExternal(cidr: string, pools?: { first: string; last: string }[]): Promise<string> {
    const gateway = cidr.replace(/\.\d+\/\d+$/, '.1');
    const input = { name: bench.unique('outside'), backendId: center.backendId, physicalNetwork: bench.unique('physnet'), cidr, gateway };
    return bench.succeeded(await bench.externals.create(access, pools === undefined ? input : { ...input, pools }));
  }
  const outside = await makeExternal('198.51.100.0/24');

  async function makeNetwork(projectId: string, realised = true): Promise<string> {
    return bench.succeeded(await bench.networks.create(access, { projectId, name: bench.unique('net'), subnet: {}, zones: realised ? [center.zoneId] : [] }));
  }

  async function makeRouter(projectId: string, networkIds: string[], externalNetwork: string | null = outside): Promise<string> {
    const uplink = externalNetwork === null ? {} : { externalNetwork };
    return bench.succeeded(await bench.routers.create(access, { projectId, name: bench.unique('router'), networkIds, ...uplink }));
  }

  return {
    ...bench,
    outside,
    makeExternal,
    makeNetwork,
    makeRouter,
    makeFloating: async (projectId, externalNetwork = outside) =>
      bench.succeeded(await bench.floating.create(access, { projectId, name: bench.unique('fip'), externalNetwork })),
    balancerIn: async (networkId) =>
      bench.succeeded(await bench.balancers.create(access, { networkId, name: bench.unique('lb'), listeners: [{ port: 443, memberPort: 8443 }] })),
    async routed() {
      const projectId = bench.freshProject();
      const networkId = await makeNetwork(projectId);
      const routerId = await makeRouter(projectId, [networkId]);
      return { projectId, networkId, routerId, port: await bench.makePort(projectId, networkId) };
    },
    router: async (id) => (await room.database.rows(findRouters, [String(id)]))[0],
    floatingIp: async (id) => (await room.database.rows(findFloatingIps, [String(id)]))[0],
    held: async (projectId) => (await heldAddresses(projectId)).map((each) => each.owner_id),
    heldAddresses,
  };
}
