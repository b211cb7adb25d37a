import type { ObservedNetworkPart } from '#drivers';
import type { Monitor, MonitorRequest } from '#ovsdb';
import { carries, partOf } from './marks.js';
import type { Northbound } from './schema/northbound.js';

const PART_TABLES = { Logical_Router: 'NETWORK', Logical_Switch_Port: 'PORT', Load_Balancer: 'LOAD_BALANCER' } as const;

/** What the list needs to see: the marks of every part, and of nothing else. */
export const PARTS_REQUEST: MonitorRequest<Northbound> = {
  Logical_Router: { columns: ['external_ids'], where: [carries({ KIND: PART_TABLES.Logical_Router })] },
  Logical_Switch_Port: { columns: ['external_ids'], where: [carries({ KIND: PART_TABLES.Logical_Switch_Port })] },
  Load_Balancer: { columns: ['external_ids'], where: [carries({ KIND: PART_TABLES.Load_Balancer })] },
  Port_Group: { columns: ['external_ids'], where: [carries({ KIND: 'SECURITY_GROUP' }), carries({ KIND: 'FIREWALL' })] },
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
    for (const table of [...(Object.keys(PART_TABLES) as (keyof typeof PART_TABLES)[]), 'Port_Group'] as const) {
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
