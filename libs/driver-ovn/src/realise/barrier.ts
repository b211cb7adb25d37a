import { backendUnavailable } from '#drivers';
import { OutcomeUnknownError, TimeoutError, Transaction, type Monitor } from '#ovsdb';
import type { OvnBackend } from '../backend.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';

/** A northd that does not keep up is asked again after so long, lest one lost number hold up everybody. */
const TRANSLATED_WITHIN_MS = 10_000;
const MAX_ATTEMPTS = 3;

/**
 * Numbers the states of the northbound database (ovn-nb(5), `NB_Global.nb_cfg`). One number serves all calls that wait
 * for it: those that come while a number is on its way share the next, which is drawn when northd has done with the last.
 */
export class Barrier {
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<number> | undefined;

  constructor(
    private readonly backend: OvnBackend,
    private readonly southbound: Monitor<Southbound>,
  ) {}

  /** @returns the number that stands for all that was written before this call */
  async draw(): Promise<number> {
    this.#next ??= this.#last.then(async () => {
      // Who comes from here on may have written something that this number does not cover.
      this.#next = undefined;
      const drawn = this.#advance();
      this.#last = drawn.then(async (number) => this.#translated(number)).catch(() => undefined);
      return drawn;
    });
    return this.#next;
  }

  async #advance(): Promise<number> {
    const transaction = new Transaction<Northbound>();
    transaction.mutate('NB_Global', [], [['nb_cfg', '+=', 1]]);
    const reading = transaction.select('NB_Global', [], ['nb_cfg']);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const [row] = (await this.backend.northbound.transact(transaction)).of(reading);
        if (row === undefined) throw backendUnavailable(this.backend.id, 'OVN has not been initialised: no northd has been here.');
        return row.nb_cfg;
      } catch (error) {
        // One number more does no harm.
        if (!(error instanceof OutcomeUnknownError) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #translated(number: number): Promise<void> {
    try {
      await this.southbound.until((monitor) => (translated(monitor) >= number ? true : undefined), { timeoutMs: TRANSLATED_WITHIN_MS });
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }
}

/** The number up to which northd has translated. */
export function translated(southbound: Monitor<Southbound>): number {
  let number = -1;
  for (const row of southbound.rows('SB_Global').values()) number = row.nb_cfg;
  return number;
}
