import { assert } from '#core';
import type { Reader } from '#database';
import { DELETION_ORDER, type BackendObjectKind } from './backend-object.js';

/** A room above that makes objects in backends says which of them it knows. */
export interface KnownObjectsOfRoom {
  /** The room's name, as `compute`. */
  readonly name: string;
  readonly kinds: readonly BackendObjectKind[];
  /** Which of these ids are rows of that kind that may have an object in a backend. At most a few hundred are asked for. */
  find(reader: Reader, kind: BackendObjectKind, ids: readonly string[]): Promise<readonly { id: string }[]>;
}

/** Collects what the rooms above know of; the app registers each of them once. */
export class KnownObjects {
  private readonly byKind = new Map<BackendObjectKind, KnownObjectsOfRoom>();

  register(...rooms: readonly KnownObjectsOfRoom[]): this {
    for (const room of rooms) {
      for (const kind of room.kinds) {
        assert(!this.byKind.has(kind), `objects of kind "${kind}" are known by two rooms`);
        this.byKind.set(kind, room);
      }
    }
    return this;
  }

  /** Kinds that no room speaks for: nothing could be said of them. */
  get missing(): BackendObjectKind[] {
    return DELETION_ORDER.filter((kind) => !this.byKind.has(kind));
  }

  async find(reader: Reader, kind: BackendObjectKind, ids: readonly string[]): Promise<Set<string>> {
    const room = this.byKind.get(kind);
    if (room === undefined || ids.length === 0) return new Set();
    return new Set((await room.find(reader, kind, ids)).map((row) => row.id));
  }
}
