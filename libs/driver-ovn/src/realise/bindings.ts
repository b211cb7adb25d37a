import type { Change, Monitor } from '#ovsdb';
import type { Southbound } from '../schema/southbound.js';

/** Follows on which chassis each port is bound. */
export class Bindings {
  /** UUIDs of chassis, by logical port. */
  readonly #chassis = new Map<string, string>();

  constructor(southbound: Monitor<Southbound>) {
    southbound.on('changes', (changes) => this.#follow(changes));
    for (const row of southbound.rows('Port_Binding').values()) this.#learn(row);
  }

  /** @returns the UUID of its row; undefined where the port is bound nowhere */
  chassisOf(logicalPort: string): string | undefined {
    return this.#chassis.get(logicalPort);
  }

  #follow(changes: readonly Change<Southbound>[]): void {
    // A row that has taken another's place comes after it, in whatever order they are told.
    const bindings = changes.filter((change) => change.table === 'Port_Binding');
    for (const { kind, row } of bindings) if (kind === 'delete') this.#chassis.delete(row.logical_port);
    for (const { kind, row } of bindings) if (kind !== 'delete') this.#learn(row);
  }

  #learn({ logical_port: port, chassis }: Southbound['Port_Binding']): void {
    if (chassis === null) this.#chassis.delete(port);
    else this.#chassis.set(port, chassis);
  }
}
