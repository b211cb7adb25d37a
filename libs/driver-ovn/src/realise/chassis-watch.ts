import type { Change, Monitor } from '#ovsdb';
import { chassisByName } from '../chassis.js';
import type { Southbound } from '../schema/southbound.js';
import { translated } from './barrier.js';

/**
 * Where a host stands: it has all up to a number, it is alive and on its way there, or it has not moved for too long while
 * there was something to do, or is not there at all. Nothing in OVN says that a host is dead: its rows stay.
 */
export type Standing = { state: 'CAUGHT_UP' } | { state: 'BEHIND'; deadInMs: number } | { state: 'DEAD' };

/** Follows how the hosts keep up with what northd gives them. */
export class ChassisWatch {
  /** Since when a chassis that has something to catch up has not moved, by name. */
  readonly #idleSince = new Map<string, number>();
  /** The number that each chassis has, by name. */
  readonly #reached = new Map<string, number>();
  #byName: ReturnType<typeof chassisByName> | undefined;

  constructor(
    private readonly southbound: Monitor<Southbound>,
    private readonly deadAfterMs: number,
  ) {
    southbound.on('changes', (changes) => this.#follow(changes));
    // Nobody could see who moved while there was no connection.
    southbound.on('current', () => {
      this.#idleSince.clear();
      this.#lookAtAll();
    });
    this.#lookAtAll();
  }

  /** @param host the name of a chassis, or its host's */
  standing(host: string, number: number): Standing {
    const name = this.#chassis().get(host)?.name;
    const reached = name === undefined ? undefined : this.#reached.get(name);
    if (name === undefined || reached === undefined) return { state: 'DEAD' };
    if (reached >= number) return { state: 'CAUGHT_UP' };
    const idleSince = this.#idleSince.get(name);
    const deadInMs = idleSince === undefined ? this.deadAfterMs : idleSince + this.deadAfterMs - performance.now();
    return deadInMs > 0 ? { state: 'BEHIND', deadInMs } : { state: 'DEAD' };
  }

  /** The names of the host of a chassis row, its own first; undefined when the row is gone. */
  namesOf(uuid: string): readonly [string, string] | undefined {
    const row = this.southbound.rows('Chassis').get(uuid);
    return row === undefined ? undefined : [row.hostname || row.name, row.name];
  }

  /** The host of the chassis of that name, or the same name when there is none. */
  hostOf(chassisName: string): string {
    return this.#chassis().get(chassisName)?.hostname || chassisName;
  }

  #chassis(): ReturnType<typeof chassisByName> {
    return (this.#byName ??= chassisByName(this.southbound));
  }

  #follow(changes: readonly Change<Southbound>[]): void {
    let all = false;
    for (const change of changes) {
      if (change.table === 'SB_Global') all = true;
      if (change.table === 'Chassis') this.#byName = undefined;
      if (change.table !== 'Chassis_Private') continue;
      // Every word of it is a sign of life.
      this.#idleSince.delete(change.row.name);
      if (change.kind !== 'delete') this.#look(change.row);
      else {
        // Another row of that name may have come in its place.
        this.#reached.delete(change.row.name);
        all = true;
      }
    }
    if (all) this.#lookAtAll();
  }

  #lookAtAll(): void {
    for (const row of this.southbound.rows('Chassis_Private').values()) this.#look(row);
  }

  #look({ name, nb_cfg: number }: Southbound['Chassis_Private']): void {
    this.#reached.set(name, number);
    if (number >= translated(this.southbound)) this.#idleSince.delete(name);
    else if (!this.#idleSince.has(name)) this.#idleSince.set(name, performance.now());
  }
}
