import { setImmediate } from 'node:timers/promises';
import type { ObservedNetworkPart } from '#drivers';
import type { Monitor } from '#ovsdb';
import { concernsHosts } from './chassis.js';
import type { Intact } from './intact.js';
import { partOf, type ExternalIds } from './marks.js';
import { PART_TABLES, type PartTable } from './replica.js';
import type { Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

type Listed = { part: Omit<ObservedNetworkPart, 'isIntact'>; marks: ExternalIds };

/** After so many parts others get a turn. */
const AT_ONCE = 50;

/** The parts in the order of their ids, from a replica: a page costs the database nothing. */
export class PartsList {
  #sorted: Listed[] | undefined;
  /** What was found since the last change. */
  #intact = new Map<string, boolean>();

  constructor(
    private readonly replica: Monitor<Northbound>,
    southbound: Monitor<Southbound>,
    private readonly intact: Intact,
  ) {
    replica.on('changes', () => {
      this.#sorted = undefined;
      this.#intact = new Map();
    });
    southbound.on('changes', (changes) => {
      if (changes.some(concernsHosts)) this.#intact = new Map();
    });
  }

  async page(after: string | null, limit: number): Promise<ObservedNetworkPart[]> {
    const listed = (this.#sorted ??= this.#read());
    const start = after === null ? 0 : firstAfter(listed, after);
    const page: ObservedNetworkPart[] = [];
    for (const { part, marks } of listed.slice(start, start + limit)) {
      page.push({ ...part, isIntact: await this.#isIntact(part.id, marks) });
      if (page.length % AT_ONCE === 0) await setImmediate();
    }
    return page;
  }

  /** The marks of the main row of each part, by id. */
  marks(): ReadonlyMap<string, ExternalIds> {
    return new Map((this.#sorted ??= this.#read()).map(({ part, marks }) => [part.id, marks]));
  }

  async #isIntact(id: string, marks: ExternalIds): Promise<boolean> {
    const known = this.#intact;
    const isIntact = known.get(id) ?? (await this.intact.isIntact(marks));
    known.set(id, isIntact);
    return isIntact;
  }

  #read(): Listed[] {
    const parts = new Map<string, Listed>();
    for (const table of Object.keys(PART_TABLES) as PartTable[]) {
      for (const { external_ids: marks } of this.replica.rows(table).values()) {
        const part = partOf(marks);
        if (part !== undefined) parts.set(part.id, { part, marks });
      }
    }
    return [...parts.values()].sort((one, other) => (one.part.id < other.part.id ? -1 : 1));
  }
}

/** Where the first id above begins. */
function firstAfter(listed: readonly Listed[], after: string): number {
  let low = 0;
  let high = listed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((listed[middle]?.part.id ?? '') > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
