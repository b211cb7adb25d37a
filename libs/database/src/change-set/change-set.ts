import { allInOrder, assert, MuonError, type ErrorRecord, type JsonObject } from '#core';
import type { Reader } from '../statement.js';
import type { Transaction } from '../transaction.js';

/**
 * A change set is what a plan returns and what apply writes: plain data in named sections. Each section belongs to the
 * room that owns the rows behind it, which registers how its items are applied. Sections are applied in this order and
 * no other, which *is* the lock order of the house (DESIGN §5): the hottest rows come last.
 */
export const SECTION_ORDER = [
  'operationRoots', // operations: roots to cancel or to hand over from
  'scopes', // scopes: parents FOR SHARE, their state checked
  'resourceLocks', // operations: by resource id
  'storagePolicies', // storage: their version checked, without a lock
  'affinityGroups', // compute: FOR UPDATE by id
  'hostClaims', // placement: guarded updates by host id
  'datastoreClaims', // storage: guarded updates by datastore id
  'addressClaims', // network: by subnet and address
  'securityGroups', // network: by group id, then by port id
  'partRevisions', // network: by kind of part and id
  'holdings', // identity: what others held when the caller was found to hold as much
  'rows', // database: inserts, guarded updates and deletes
  'memberships', // identity: who belongs to which group
  'operations', // operations: new operations and their bell
  'quotaLimits', // quota: limits and carves
  'charges', // quota: project counter before tenant counter, by key
] as const;
export type SectionName = (typeof SECTION_ORDER)[number];

/** A section's typed handle; made once by the room that owns it. `Item` must survive a round trip through JSON. */
export interface Section<Item> {
  readonly name: SectionName;
  /** Only for the type checker. */
  readonly item?: Item;
}

/** Why the plan chose what it chose, for people: one line, and numbers for programs. */
export interface PlanReason {
  /** What the reason speaks of: a resource's name, "quota", "placement". */
  subject: string;
  message: string;
  data?: JsonObject;
}

/** One thing that the plan would make, change or delete, for people. */
export interface PlannedResource {
  action: 'CREATE' | 'UPDATE' | 'DELETE';
  kind: string;
  id: string;
  name: string;
  data?: JsonObject;
}

export interface ChangeSetData {
  sections: Partial<Record<SectionName, unknown[]>>;
  resources: PlannedResource[];
  reasons: PlanReason[];
  /** Why it could not be applied now, gathered rather than thrown at the first; empty when it can. */
  problems: ErrorRecord[];
  /** Ids and numbers that the mutation answers with. */
  result: JsonObject;
}

export class ChangeSet {
  readonly resources: PlannedResource[] = [];
  readonly reasons: PlanReason[] = [];
  readonly problems: ErrorRecord[] = [];
  result: JsonObject = {};
  private readonly sections = new Map<SectionName, unknown[]>();

  add<Item>(section: Section<Item>, ...items: Item[]): this {
    const list = this.sections.get(section.name);
    if (list === undefined) this.sections.set(section.name, [...items]);
    else list.push(...items);
    return this;
  }

  items<Item>(section: Section<Item>): readonly Item[] {
    return (this.sections.get(section.name) ?? []) as Item[];
  }

  /** Takes over everything of another change set: a cluster's plan is made of its machines' plans. */
  include(other: ChangeSet): this {
    for (const [name, items] of other.sections) this.add({ name }, ...items);
    this.resources.push(...other.resources);
    this.reasons.push(...other.reasons);
    this.problems.push(...other.problems);
    return this;
  }

  toData(): ChangeSetData {
    return {
      sections: Object.fromEntries(this.sections),
      resources: this.resources,
      reasons: this.reasons,
      problems: this.problems,
      result: this.result,
    };
  }

  static fromData(data: ChangeSetData): ChangeSet {
    const changes = new ChangeSet();
    for (const name of SECTION_ORDER) changes.add({ name }, ...(data.sections[name] ?? []));
    changes.resources.push(...data.resources);
    changes.reasons.push(...data.reasons);
    changes.problems.push(...data.problems);
    changes.result = data.result;
    return changes;
  }
}

/**
 * A section's handler throws this when somebody else took what the plan had chosen (a place, an address) and another
 * choice may exist: the mutation is planned again, a bounded number of times.
 */
export class LostRace extends MuonError {
  constructor(fact: string, detail: string) {
    super('CONFLICT', 'Others took the chosen place first; try again.', { data: { fact }, detail });
  }
}

/** What a section's handler may know of the mutation that it is part of. */
export interface ApplyContext {
  readonly changes: ChangeSet;
  /** Who asked; null for the system's own work. */
  readonly principalId: string | null;
  readonly requestId: string | null;
}

export type SectionHandler<Item> = (
  transaction: Transaction,
  items: readonly Item[],
  context: ApplyContext,
) => Promise<void>;

export interface SectionOptions<Item> {
  /**
   * Whether these items are applied by statements that the handler gives all before it waits for the first answer. The
   * next section then does not wait for it: its statements follow in the same write, still in the order of the sections,
   * and what this handler finds out takes back those as well.
   */
  sendsAtOnce?: (items: readonly Item[], context: ApplyContext) => boolean;
  /** Why these items would be refused if they were applied now, by reads only: for dry runs. */
  preview?: (reader: Reader, items: readonly Item[]) => Promise<ErrorRecord[]>;
}

interface Registered extends SectionOptions<unknown> {
  handler: SectionHandler<unknown>;
}

/** Holds the handlers of all rooms that an app is composed of, and applies change sets by them. */
export class ChangeSetApplier {
  private readonly handlers = new Map<SectionName, Registered>();

  register<Item>(section: Section<Item>, handler: SectionHandler<Item>, options: SectionOptions<Item> = {}): void {
    assert(!this.handlers.has(section.name), `section "${section.name}" has two handlers`);
    this.handlers.set(section.name, { handler, ...options } as Registered);
  }

  /** Adds to the problems of a plan what applying it now would be refused with, unless the planner has said so itself. */
  async preview(reader: Reader, changes: ChangeSet): Promise<void> {
    const sameAs = (problem: ErrorRecord): string => `${problem.code} ${problem.field ?? problem.message}`;
    const known = new Set(changes.problems.map(sameAs));
    for (const name of SECTION_ORDER) {
      const items = changes.items({ name });
      if (items.length === 0) continue;
      for (const problem of (await this.handlers.get(name)?.preview?.(reader, items)) ?? []) {
        if (!known.has(sameAs(problem))) changes.problems.push(problem);
        known.add(sameAs(problem));
      }
    }
  }

  async apply(
    transaction: Transaction,
    changes: ChangeSet,
    who: { principalId: string | null; requestId: string | null },
  ): Promise<void> {
    const context: ApplyContext = { changes, ...who };
    let open: Promise<void>[] = [];
    for (const name of SECTION_ORDER) {
      const items = changes.items({ name });
      if (items.length === 0) continue;
      const registered = this.handlers.get(name);
      assert(registered !== undefined, `nothing applies the section "${name}"`);
      open.push(registered.handler(transaction, items, context));
      if (registered.sendsAtOnce?.(items, context) === true) continue;
      await allInOrder(open);
      open = [];
    }
    await allInOrder(open);
  }
}
