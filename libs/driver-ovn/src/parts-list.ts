import type { ObservedNetworkPart } from '#drivers';
import type { Monitor, MonitorRequest } from '#ovsdb';
import { carries, partOf } from './marks.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';

/** The kinds of part that each table holds main rows of. */
const PART_TABLES = {
  Logical_Router: ['NETWORK', 'PROVIDER_ROUTER', 'ROUTER'],
  Logical_Switch: ['EXTERNAL_NETWORK'],
  Logical_Switch_Port: ['PORT'],
  Load_Balancer: ['LOAD_BALANCER', 'FLOATING_IP'],
  NAT: ['FLOATING_IP'],
  Port_Group: ['SECURITY_GROUP', 'FIREWALL'],
} as const satisfies Partial<Record<MarkedTable, readonly ObservedNetworkPart['kind'][]>>;

const request = (table: keyof typeof PART_TABLES) => ({
  columns: ['external_ids' as const],
  where: PART_TABLES[table].map((kind) => carries({ KIND: kind })),
});

/** What the list needs to see: the marks of every part, and of nothing else. */
export const PARTS_REQUEST: MonitorRequest<Northbound> = {
  Logical_Router: request('Logical_Router'),
  Logical_Switch: request('Logical_Switch'),
  Logical_Switch_Port: request('Logical_Switch_Port'),
  Load_Balancer: request('Load_Balancer'),
  NAT: request('NAT'),
  Port_Group: request('Port_Group'),
};

/** The parts in the order of their ids, from a replica: a page costs the database nothing. */
export class PartsList {
  #sorted: ObservedNetworkPart[] | undefined;

  constructor(private readonly monitor: Monitor<Northbound>) {
    monitor.on('changes', () => {
      this.#sorted = undefined;
    });
  }

  page(after: string | null, limit: number): ObservedNetworkPart[] {
    const parts = (this.#sorted ??= this.#read());
    const start = after === null ? 0 : firstAfter(parts, after);
    return parts.slice(start, start + limit);
  }

  #read(): ObservedNetworkPart[] {
    const parts = new Map<string, ObservedNetworkPart>();
    for (const table of Object.keys(PART_TABLES) as (keyof typeof PART_TABLES)[]) {
      for (const { external_ids: marks } of this.monitor.rows(table).values()) {
        const part = partOf(marks);
        if (part !== undefined) parts.set(part.id, part);
      }
    }
    return [...parts.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  }
}

/** Where the first id above begins. */
function firstAfter(parts: readonly ObservedNetworkPart[], after: string): number {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle]?.id ?? '') > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
