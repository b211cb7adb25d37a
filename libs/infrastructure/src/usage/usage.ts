import { assert } from '#core';
import type { Reader } from '#database';

/** What rooms above can hold on to. */
export type UsedNoun = 'zone' | 'backend' | 'datastore';

/** A room above whose things stand in zones, backends or datastores; what it counts keeps them from going at once. */
export interface InfrastructureUsers {
  /** What it counts, in the plural and for people, as `disks`. */
  readonly name: string;
  count(reader: Reader, noun: UsedNoun, id: string): Promise<number>;
}

export interface Use {
  users: string;
  count: number;
}

/** Collects who uses what; the app registers the rooms above. */
export class InfrastructureUsage {
  private readonly rooms = new Map<string, InfrastructureUsers>();

  register(users: InfrastructureUsers): void {
    assert(!this.rooms.has(users.name), `users of infrastructure "${users.name}" are registered twice`);
    this.rooms.set(users.name, users);
  }

  /** Only those that there are. */
  async of(reader: Reader, noun: UsedNoun, id: string): Promise<Use[]> {
    const uses: Use[] = [];
    for (const room of this.rooms.values()) {
      const count = await room.count(reader, noun, id);
      if (count > 0) uses.push({ users: room.name, count });
    }
    return uses;
  }
}
