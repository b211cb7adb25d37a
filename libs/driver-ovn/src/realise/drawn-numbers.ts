/** One that is forgotten is drawn anew. */
const MAX_KEPT = 10_000;
/** Longer than most ask; a database that was put back to an earlier state may never reach the number. */
const KEPT_MS = 300_000;

export interface DrawnNumber {
  readonly number: Promise<number>;
  /** When it was asked for, as `performance.now()` has it. */
  readonly since: number;
}

/**
 * The numbers that calls wait for, by their keys: a repeat goes on waiting for the first. Were it to draw its own, and
 * OVN need longer for one than a call waits, none would ever be reached. One that is reached is kept, too: who asks for
 * several parts asks again for all of them while one is behind.
 */
export class DrawnNumbers {
  readonly #drawn = new Map<string, DrawnNumber>();

  constructor(private readonly draw: () => Promise<number>) {}

  /** @returns the number that stands for all that was written before the first call of this key */
  of(key: string): DrawnNumber {
    const known = this.#drawn.get(key);
    if (known !== undefined && performance.now() - known.since < KEPT_MS) return known;
    const drawn = { number: this.draw(), since: performance.now() };
    this.#drawn.delete(key);
    this.#drawn.set(key, drawn);
    drawn.number.catch(() => this.#forget(key, drawn));
    for (const [oldest, { since }] of this.#drawn) {
      if (this.#drawn.size <= MAX_KEPT && performance.now() - since < KEPT_MS) break;
      this.#drawn.delete(oldest);
    }
    return drawn;
  }

  /** The database may be another, with other numbers. */
  clear(): void {
    this.#drawn.clear();
  }

  #forget(key: string, drawn: DrawnNumber): void {
    if (this.#drawn.get(key) === drawn) this.#drawn.delete(key);
  }
}
