import { setImmediate } from 'node:timers/promises';
import { sleep, type Logger } from '#core';
import type { BackendEvent } from '#drivers';
import type { Change, Monitor } from '#ovsdb';
import { concernsHosts } from './chassis.js';
import type { Intact } from './intact.js';
import { Mark, partOf, type ExternalIds } from './marks.js';
import type { PartsList } from './parts-list.js';
import type { Removals } from './removals.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

/** A part may be made in several transactions, one after the other: they are looked at together. */
const GATHER_MS = 500;
/** Hints follow each other no faster, however much happens. */
const PAUSE_MS = 2_000;
/** What is not mended yet is told again, each time later, as whoever mends may have been busy; then the periodic look has seen it. */
const FIRST_AGAIN_MS = 4_000;
const LAST_AGAIN_MS = 32_000;
/** After so many parts others get a turn. */
const AT_ONCE = 50;

/** Columns that name other rows, each of which says itself where it belongs. */
const MEMBERS: Readonly<Record<string, Partial<Record<MarkedTable, MarkedTable>>>> = {
  ports: { Logical_Router: 'Logical_Router_Port', Logical_Switch: 'Logical_Switch_Port', Port_Group: 'Logical_Switch_Port' },
  static_routes: { Logical_Router: 'Logical_Router_Static_Route' },
  nat: { Logical_Router: 'NAT' },
  load_balancer: { Logical_Router: 'Load_Balancer', Logical_Switch: 'Load_Balancer' },
  dns_records: { Logical_Switch: 'DNS' },
  acls: { Port_Group: 'ACL' },
};
/** Marks that name the parts that a row belongs to or builds on. */
const PARTS_OF_ROW = [Mark.ID, Mark.NETWORK, Mark.ROUTER, Mark.TARGET];

/** Parts whose rows name hosts, or depend on which bridges those have. */
const ON_HOSTS: readonly (string | undefined)[] = ['PROVIDER_ROUTER', 'ROUTER', 'FLOATING_IP'];

export interface DriftWatchParts {
  replica: Monitor<Northbound>;
  southbound: Monitor<Southbound>;
  list: PartsList;
  intact: Intact;
  installationId: string;
  /** Of this process: nobody needs to be told of those. */
  removals: Removals;
  onEvent: (event: BackendEvent) => void;
  log: Logger | undefined;
}

/**
 * Tells of parts that are no longer as they were made. What drivers write themselves leaves parts as they shall be, so
 * nothing is told of that; only of a part that is gone nobody can see who took it away, unless it was this process. All of
 * it is found in the replica, and costs the database nothing.
 */
export class DriftWatch {
  /** Parts that a change may have concerned, and such whose main row went. */
  #touched = new Set<string>();
  #gone = new Set<string>();
  /** Whether hosts have come or got or lost bridges. */
  #hostsChanged = false;
  #broken: ReadonlySet<string> = new Set();
  #wake: () => void = () => undefined;

  constructor(private readonly parts: DriftWatchParts) {}

  async run(signal: AbortSignal): Promise<void> {
    const { replica, southbound, list } = this.parts;
    const follow = (changes: readonly Change<Northbound>[]): void => this.#follow(changes);
    const followHosts = (changes: readonly Change<Southbound>[]): void => this.#followHosts(changes);
    replica.on('changes', follow);
    southbound.on('changes', followHosts);
    try {
      // What happened while nobody watched.
      for (const id of list.marks().keys()) this.#touched.add(id);
      let againMs = 0;
      let againAt = Infinity;
      while (!signal.aborted) {
        const isDue = performance.now() >= againAt;
        const news = await this.#look(isDue, signal);
        if (news.length > 0) againMs = FIRST_AGAIN_MS;
        else if (isDue) againMs *= 2;
        if (this.#broken.size === 0 || againMs > LAST_AGAIN_MS) againAt = Infinity;
        else if (news.length > 0 || isDue) againAt = performance.now() + againMs;
        const told = isDue ? [...new Set([...news, ...this.#broken])] : news;
        this.#tell(told, signal);
        if (told.length > 0) await sleep(PAUSE_MS, signal);
        await this.#untilTouched(againAt, signal);
        await sleep(GATHER_MS, signal);
      }
    } finally {
      replica.off('changes', follow);
      southbound.off('changes', followHosts);
    }
  }

  #tell(ids: readonly string[], signal: AbortSignal): void {
    if (ids.length === 0 || signal.aborted) return;
    this.parts.log?.debug({ parts: ids.length, first: ids[0] }, 'parts of the network are gone or not as they were made');
    for (const id of ids) this.parts.onEvent({ kind: 'NETWORK', id });
  }

  async #untilTouched(endsAt: number, signal: AbortSignal): Promise<void> {
    if (this.#hostsChanged || this.#touched.size + this.#gone.size > 0 || signal.aborted) return;
    const awake = new AbortController();
    this.#wake = () => awake.abort();
    const leftMs = Math.min(LAST_AGAIN_MS, Math.max(0, endsAt - performance.now()));
    await sleep(leftMs, AbortSignal.any([signal, awake.signal]));
  }

  /** Looks at what was touched, or also again at all that was broken. @returns what is broken or gone since the last look */
  async #look(again: boolean, signal: AbortSignal): Promise<string[]> {
    const { list, intact } = this.parts;
    const known = list.marks();
    const onHosts = this.#hostsChanged ? [...known].filter(([, marks]) => ON_HOSTS.includes(marks.get(Mark.KIND))).map(([id]) => id) : [];
    const outside = this.#hostsChanged ? this.#externalNetworks(known) : [];
    const ids = new Set([...(again ? this.#broken : []), ...this.#touched, ...onHosts]);
    const gone = this.#gone;
    this.#hostsChanged = false;
    this.#touched = new Set();
    this.#gone = new Set();
    const broken = new Set([...this.#broken].filter((id) => !ids.has(id)));
    let looked = 0;
    for (const id of ids) {
      looked += 1;
      if (looked % AT_ONCE === 0) await setImmediate();
      if (signal.aborted) return [];
      const marks = known.get(id);
      if (marks !== undefined && !(await intact.isIntact(marks))) broken.add(id);
    }
    const news = [...broken].filter((id) => !this.#broken.has(id));
    this.#broken = broken;
    return [...news, ...[...gone].filter((id) => !known.has(id)), ...outside];
  }

  /** Which hosts reach them may have changed: whoever chooses among hosts is to look. */
  #externalNetworks(known: ReadonlyMap<string, ExternalIds>): string[] {
    const { installationId } = this.parts;
    return [...known].flatMap(([id, marks]) => (marks.get(Mark.KIND) === 'EXTERNAL_NETWORK' && marks.get(Mark.INSTALLATION) === installationId ? [id] : []));
  }

  #followHosts(changes: readonly Change<Southbound>[]): void {
    if (!changes.some(concernsHosts)) return;
    this.#hostsChanged = true;
    this.#wake();
  }

  #follow(changes: readonly Change<Northbound>[]): void {
    const { installationId, removals } = this.parts;
    const deleted = new Set(changes.flatMap((change) => (change.kind === 'delete' ? [change.row._uuid] : [])));
    for (const change of changes) {
      if (change.table === 'NB_Global') continue;
      const marks = change.row.external_ids;
      const before = change.kind === 'modify' ? change.old.external_ids : undefined;
      if ((before ?? marks).get(Mark.INSTALLATION) !== installationId) continue;
      const part = change.kind === 'delete' ? partOf(marks) : undefined;
      if (part !== undefined && !removals.has(part.id) && !removals.has(marks.get(Mark.TARGET) ?? '')) this.#gone.add(part.id);
      const members = change.kind === 'modify' ? this.#members(change, deleted) : undefined;
      for (const each of members ?? [marks, ...(before === undefined ? [] : [before])]) this.#touch(each);
    }
    if (this.#touched.size + this.#gone.size > 0) this.#wake();
  }

  #touch(marks: ExternalIds): void {
    for (const mark of PARTS_OF_ROW) {
      const id = marks.get(mark);
      if (id !== undefined) this.#touched.add(id);
    }
  }

  /**
   * The marks of the rows that a row has got or lost, where nothing else of it has changed: of a group with many ports only
   * those that came or went are looked at. @returns undefined where that does not tell everything
   */
  #members({ table, row, old }: Change<Northbound> & { kind: 'modify' }, deleted: ReadonlySet<string>): ExternalIds[] | undefined {
    const marks: ExternalIds[] = [];
    for (const [column, before] of Object.entries(old as Record<string, unknown>)) {
      const members = MEMBERS[column]?.[table as MarkedTable];
      const now = (row as unknown as Record<string, unknown>)[column];
      if (members === undefined || !(before instanceof Set) || !(now instanceof Set)) return undefined;
      for (const uuid of differing(before as ReadonlySet<string>, now as ReadonlySet<string>)) {
        // Those that are deleted are changes of their own.
        if (deleted.has(uuid)) continue;
        const member = this.parts.replica.rows(members).get(uuid);
        if (member === undefined) return undefined;
        marks.push(member.external_ids);
      }
    }
    return marks;
  }
}

const differing = (one: ReadonlySet<string>, other: ReadonlySet<string>): string[] => [
  ...[...one].filter((each) => !other.has(each)),
  ...[...other].filter((each) => !one.has(each)),
];
