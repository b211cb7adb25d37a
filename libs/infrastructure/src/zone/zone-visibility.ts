import { assert } from '#core';
import type { Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access } from '#identity';

/** Ids of the zones that a caller without rights on the system may see: those that its tenants may use. */
export type VisibleZones = (reader: Reader, access: Access) => Promise<string[]>;

/** Which zones a caller may see. Which tenant may use which is known above; without that room only operators see any. */
export class ZoneVisibility {
  private find: VisibleZones | undefined;

  register(find: VisibleZones): void {
    assert(this.find === undefined, 'the visibility of zones is registered twice');
    this.find = find;
  }

  /** Null for all. */
  async of(reader: Reader, access: Access): Promise<string[] | null> {
    if (access.can(Action.READ, 'zone', SYSTEM_PLACE)) return null;
    return this.find === undefined ? [] : this.find(reader, access);
  }
}
