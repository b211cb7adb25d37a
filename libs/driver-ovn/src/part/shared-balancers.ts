import { Transaction, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import type { Draft } from '../draft.js';
import { carries, Mark } from '../marks.js';
import type { Northbound } from '../schema/northbound.js';

/**
 * Load balancers by the network that they belong to. Those of all networks of a router are on the switches of all of them: a
 * router translates back only what passes its gateway port (northd, `lr_out_undnat`), so that a client of another network
 * would be answered by the member itself.
 */
export type BalancersByNetwork = ReadonlyMap<string, readonly Row<Pick<Northbound['Load_Balancer'], 'name'>>[]>;

const balancersOf = (networkId: string): ReturnType<typeof carries> => carries({ KIND: 'LOAD_BALANCER', NETWORK: networkId });
const switchesOf = (networkId: string): ReturnType<typeof carries> => carries({ KIND: 'SUBNET', NETWORK: networkId });

export async function readLinkedNetworks(backend: Store, time: CallTime, routerId: string): Promise<string[]> {
  const reading = new Transaction<Northbound>();
  const links = reading.select('Logical_Router_Port', [carries({ KIND: 'ROUTER_LINK', ROUTER: routerId })], ['external_ids']);
  const found = (await backend.read(time, reading)).of(links);
  return [...new Set(found.map(({ external_ids: marks }) => marks.get(Mark.NETWORK) ?? ''))];
}

export async function readBalancers(backend: Store, time: CallTime, networkIds: Iterable<string>): Promise<BalancersByNetwork> {
  const reading = new Transaction<Northbound>();
  const selects = [...new Set(networkIds)].map((networkId) => [networkId, reading.select('Load_Balancer', [balancersOf(networkId)], ['name'])] as const);
  const found = await backend.read(time, reading);
  return new Map(selects.map(([networkId, rows]) => [networkId, found.of(rows)]));
}

/** None may come meanwhile: it would not be everywhere. */
export function expectBalancers(draft: Draft, balancers: BalancersByNetwork): void {
  for (const [networkId, rows] of balancers) draft.expectRows('Load_Balancer', balancersOf(networkId), 'name', rows);
}

/** Takes the load balancers of these networks away from the switches of those. */
export function separate(draft: Draft, balancers: BalancersByNetwork, from: readonly string[], to: readonly string[]): void {
  for (const networkId of from) {
    for (const { _uuid: balancer } of balancers.get(networkId) ?? []) {
      for (const other of to) if (other !== networkId) draft.leaveAll('Logical_Switch', switchesOf(other), 'load_balancer', balancer);
    }
  }
}

/** The switches of these networks. */
export async function readSwitches(backend: Store, time: CallTime, networkIds: readonly string[]): Promise<Pick<Northbound['Logical_Switch'], 'load_balancer'>[]> {
  const reading = new Transaction<Northbound>();
  const selects = networkIds.map((networkId) => reading.select('Logical_Switch', [switchesOf(networkId)], ['load_balancer']));
  const found = await backend.read(time, reading);
  return selects.flatMap((each) => found.of(each));
}

export function joinSwitches(draft: Draft, networkIds: readonly string[], balancer: string): void {
  for (const networkId of networkIds) draft.joinAll('Logical_Switch', switchesOf(networkId), 'load_balancer', balancer);
}
