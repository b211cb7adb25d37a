import { MuonError, type JsonObject } from '#core';
import type { Database, Reader } from '#database';
import type { DriverCall, NetworkDriver, PhysicalNetworkHosts } from '#drivers';
import { connectedHosts, type ExternalNetworkRow } from './external-network.js';
import { findExternalNetworksOfBackend, findHostNames, setConnectedHosts } from './external-network.sql.js';

const MAX_EXTERNAL_NETWORKS = 1000;
/** More names than these help nobody. */
const NAMES_IN_ERRORS = 20;

export type Place = Pick<ExternalNetworkRow, 'id' | 'backend_id' | 'physical_network' | 'connected_hosts'>;

export interface Connected {
  id: string;
  hosts: string[] | null;
}

/** Asks a backend which of its hosts reach a network outside. */
export async function lookForHosts(reader: Reader, driver: NetworkDriver, call: DriverCall, place: Place): Promise<{ connected: Connected; seen: PhysicalNetworkHosts }> {
  const hostNames = (await reader.rows(findHostNames, place.backend_id)).map(({ name }) => name);
  const seen = await driver.physicalNetworkHosts(call, place.physical_network, hostNames);
  return { connected: { id: place.id, hosts: connectedHosts(place.connected_hosts, hostNames, seen) }, seen };
}

/**
 * Takes note of which hosts reach the external networks of a backend now.
 * @returns those of which that has changed
 */
export async function noteConnectedHosts(
  database: Database,
  backendId: string,
  driver: NetworkDriver,
  callOf: (physicalNetwork: string) => DriverCall,
): Promise<(Place & { hosts: string[] | null })[]> {
  const rows = await database.rows(findExternalNetworksOfBackend, backendId, MAX_EXTERNAL_NETWORKS);
  if (rows.length === 0) return [];
  const hostNames = (await database.rows(findHostNames, backendId)).map(({ name }) => name);
  const changed: (Place & { hosts: string[] | null })[] = [];
  for (const [physicalNetwork, places] of Map.groupBy(rows, (row) => row.physical_network)) {
    const seen = await driver.physicalNetworkHosts(callOf(physicalNetwork), physicalNetwork, hostNames);
    for (const place of places) {
      const hosts = connectedHosts(place.connected_hosts, hostNames, seen);
      if (JSON.stringify(hosts) !== JSON.stringify(place.connected_hosts)) changed.push({ ...place, hosts });
    }
  }
  if (changed.length > 0) {
    const connected = JSON.stringify(changed.map(({ id, hosts }): Connected => ({ id, hosts })));
    await database.transaction((transaction) => transaction.execute(setConnectedHosts, connected));
  }
  return changed;
}

/** Of one that is to be made: every host of the backend is known not to reach it. For operators. */
export function reachedByNobody(physicalNetwork: string, { unconnected, physicalNetworks }: PhysicalNetworkHosts): MuonError {
  const hosts = unconnected.toSorted().slice(0, NAMES_IN_ERRORS);
  const others = physicalNetworks.slice(0, NAMES_IN_ERRORS);
  const more = unconnected.length > hosts.length ? ` and ${unconnected.length - hosts.length} more` : '';
  const there = others.length === 0 ? 'They reach none at all.' : `What they reach is called ${others.map((name) => `"${name}"`).join(', ')}.`;
  const message =
    `None of the backend's hosts (${hosts.join(', ')}${more}) has a bridge to the physical network "${physicalNetwork}": what is sent there would be lost. ` +
    `${there} Name one of those, or map "${physicalNetwork}" to a bridge on the hosts that are to lead there, and try again.`;
  const data: JsonObject = { physicalNetwork, hosts, hostCount: unconnected.length, physicalNetworks: others };
  return new MuonError('INVALID_STATE', message, { field: 'input.physicalNetwork', data, fault: 'OPERATOR', retryable: false });
}

/** @throws INVALID_STATE when an external network is known to be reached by no host: for everybody, so it names none */
export function requireConnected(row: Pick<ExternalNetworkRow, 'id' | 'name' | 'connected_hosts'>, field: string): void {
  if (row.connected_hosts?.length !== 0) return;
  const message = `No host reaches the external network "${row.name}" now: what is sent there would be lost.`;
  throw new MuonError('INVALID_STATE', message, { field, data: { externalNetworkId: row.id }, fault: 'OPERATOR' });
}
