import type { Change, Monitor, Row } from '#ovsdb';
import type { Southbound } from './schema/southbound.js';

type Chassis = Southbound['Chassis'];

/** As `physnet1:br-ex,physnet2:br-lan` (ovn-controller(8)). */
const MAPPINGS = 'ovn-bridge-mappings';

/** The chassis of each host, by the chassis's own name, which is the host's `system-id`, and by the name of the host. */
export function chassisByName(southbound: Monitor<Southbound>): ReadonlyMap<string, Row<Chassis>> {
  const rows = [...southbound.rows('Chassis').values()];
  return new Map([...rows.map((row) => [row.hostname, row] as const), ...rows.map((row) => [row.name, row] as const)]);
}

/**
 * The networks outside that the host has bridges to. What it said last counts, also when it is off.
 * @returns undefined where it has said nothing: it has not come yet, or has taken its chassis away when it was stopped
 */
export function bridgedNetworks(chassis: Chassis | undefined): string[] | undefined {
  const mappings = chassis?.other_config.get(MAPPINGS);
  return mappings?.split(',').flatMap((mapping) => mapping.split(':')[0]?.trim() || []);
}

/** @returns undefined as `bridgedNetworks` does */
export function hasBridgeTo(chassis: Chassis | undefined, physicalNetwork: string): boolean | undefined {
  return bridgedNetworks(chassis)?.includes(physicalNetwork);
}

/** Of a change in the southbound database: whether a host has come or gone, is called otherwise, or has got or lost bridges. */
export function concernsHosts(change: Change<Southbound>): boolean {
  if (change.table !== 'Chassis') return false;
  if (change.kind !== 'modify') return true;
  const { old } = change;
  const row = change.row as Row<Chassis>;
  return 'name' in old || 'hostname' in old || ('other_config' in old && old.other_config?.get(MAPPINGS) !== row.other_config.get(MAPPINGS));
}
