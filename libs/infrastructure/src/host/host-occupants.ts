import { assert, type ErrorRecord } from '#core';
import type { Reader } from '#database';
import type { ChildOperation } from '#operations';
import type { HostRow } from './host.js';

/** One thing that lives on a host, and how it leaves. */
export interface HostOccupant {
  resourceId: string;
  /** As `virtual machine`, for people. */
  kind: string;
  name: string;
  /** Of those with the same one only one moves at a time, so that it never loses several at once; absent or null for none. */
  owner?: string | null;
  /** Why it cannot be moved away now; null when it can. */
  blocked: ErrorRecord | null;
}

/**
 * What must leave a host before its maintenance. A room above that puts things on hosts registers one; infrastructure
 * runs the moves that it names, a few at a time, as children of the maintenance operation.
 */
export interface HostOccupants {
  /** The room's name, as `compute`. */
  readonly name: string;
  /** Everything of that room that is on the host now, movable or not; at most `limit`. Reads only. */
  list(reader: Reader, host: HostRow, limit: number): Promise<HostOccupant[]>;
  /** How many there are. */
  count(reader: Reader, host: HostRow): Promise<number>;
  /**
   * The operation that takes the occupant to another host; it chooses the place itself, and may fail without harm. It locks
   * what it moves by itself (`locks`). When it fails because the occupant may not leave at present after all, its error is
   * `heldBack`.
   */
  move(reader: Reader, host: HostRow, occupant: HostOccupant): Promise<ChildOperation>;
}

/** The error of a move that was not begun, since what has kept others from leaving keeps this one by now: no try was made. */
export function heldBack(error: ErrorRecord): ErrorRecord {
  return { ...error, retryable: false, data: { ...error.data, heldBack: true } };
}

export function isHeldBack(error: ErrorRecord | null): boolean {
  return error?.data?.['heldBack'] === true;
}

/** Collects what the rooms above say of hosts; the app registers each of them once. */
export class HostOccupancy {
  private readonly rooms = new Map<string, HostOccupants>();

  register(room: HostOccupants): void {
    assert(!this.rooms.has(room.name), `host occupants of "${room.name}" are registered twice`);
    this.rooms.set(room.name, room);
  }

  /** What is on the host, room by room, at most `limit` of each. */
  async list(reader: Reader, host: HostRow, limit: number): Promise<{ room: HostOccupants; occupant: HostOccupant }[]> {
    const found: { room: HostOccupants; occupant: HostOccupant }[] = [];
    for (const room of this.rooms.values()) {
      for (const occupant of await room.list(reader, host, limit)) found.push({ room, occupant });
    }
    return found;
  }

  async count(reader: Reader, host: HostRow): Promise<number> {
    let total = 0;
    for (const room of this.rooms.values()) total += await room.count(reader, host);
    return total;
  }
}
