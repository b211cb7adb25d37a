import { z } from 'zod';
import { findVirtualMachines, findVirtualMachinesOfOwners } from '#compute';
import type { Reader } from '#database';
import { findFloatingIps, findLoadBalancers, findLoadBalancersOfOwners, findNetworks, findPorts, findPortsOfOwners, findRouters } from '#network';
import { findDatastoreClaims, findHostClaims } from '#placement';
import { findCharges } from '#quota';
import { findDisks, findDisksOfOwners } from '#storage';
import { edgeOf } from './cluster-edge.js';
import type { ClusterRow } from './cluster.js';

/** Everything that a cluster is made of, as its deletion found it: what must be gone at the end. */
export const surveySchema = z.object({
  machines: z.array(z.string()),
  ports: z.array(z.string()),
  disks: z.array(z.string()),
  loadBalancers: z.array(z.string()),
  /** Only one that goes with the cluster. */
  networks: z.array(z.string()),
  routers: z.array(z.string()).default([]),
  floatingIps: z.array(z.string()).default([]),
});
export type Survey = z.output<typeof surveySchema>;

export async function surveyCluster(reader: Reader, cluster: ClusterRow): Promise<Survey> {
  const machines = (await reader.rows(findVirtualMachinesOfOwners, [cluster.id])).map((machine) => machine.id);
  const ports = await reader.rows(findPortsOfOwners, machines);
  const disks = await reader.rows(findDisksOfOwners, machines);
  const balancers = await reader.rows(findLoadBalancersOfOwners, [cluster.id]);
  const edge = await edgeOf(reader, cluster.id);
  const network = cluster.owns_network ? cluster.network_id : null;
  const ids = (rows: readonly { id: string }[]): string[] => rows.map((row) => row.id);
  return { machines, ports: ids(ports), disks: ids(disks), loadBalancers: ids(balancers), networks: network === null ? [] : [network], ...edge };
}

/** One thing that should be gone and is not. */
export interface Remain {
  kind: 'MACHINE' | 'PORT' | 'DISK' | 'LOAD_BALANCER' | 'NETWORK' | 'ROUTER' | 'FLOATING_IP' | 'CHARGE' | 'HOST_CLAIM' | 'DATASTORE_CLAIM';
  id: string;
}

/** What is left of a surveyed cluster, exactly; empty is the proof that nothing is. */
export async function remainsOf(reader: Reader, clusterId: string, survey: Survey): Promise<Remain[]> {
  const { machines, ports, disks, loadBalancers, networks, routers, floatingIps } = survey;
  const machineRows = await reader.rows(findVirtualMachines, machines);
  const others = await reader.rows(findVirtualMachinesOfOwners, [clusterId]);
  const portRows = await reader.rows(findPorts, ports);
  const diskRows = await reader.rows(findDisks, disks);
  const balancerRows = await reader.rows(findLoadBalancers, loadBalancers);
  const networkRows = await reader.rows(findNetworks, networks);
  const routerRows = await reader.rows(findRouters, routers);
  const floatingRows = await reader.rows(findFloatingIps, floatingIps);
  const charges = await reader.rows(findCharges, [...machines, ...ports, ...disks, ...loadBalancers, ...networks, ...routers, ...floatingIps]);
  const hostClaims = await reader.rows(findHostClaims, machines);
  const datastoreClaims = await reader.rows(findDatastoreClaims, disks);
  const list = (kind: Remain['kind'], ids: readonly string[]): Remain[] => [...new Set(ids)].map((id) => ({ kind, id }));
  return [
    ...list('MACHINE', [...machineRows, ...others].map((row) => row.id)),
    ...list('PORT', portRows.map((row) => row.id)),
    ...list('DISK', diskRows.map((row) => row.id)),
    ...list('LOAD_BALANCER', balancerRows.map((row) => row.id)),
    ...list('NETWORK', networkRows.map((row) => row.id)),
    ...list('ROUTER', routerRows.map((row) => row.id)),
    ...list('FLOATING_IP', floatingRows.map((row) => row.id)),
    ...list('CHARGE', charges.map((row) => row.resource_id)),
    ...list('HOST_CLAIM', hostClaims.map((row) => row.resource_id)),
    ...list('DATASTORE_CLAIM', datastoreClaims.map((row) => row.resource_id)),
  ];
}
