/** What a call has asked for: its number, as soon as that is drawn. */
export interface Asked {
  readonly number: Promise<number>;
  /** When its first attempt asked, as `performance.now()`. */
  readonly since: number;
}

/** Of calls that nobody repeats, as their operations were cancelled. */
const MOST_CALLS = 10_000;

/**
 * The numbers that calls wait for. With a number of its own for each repeat a call would wait for all that others have
 * written meanwhile, and while that goes on it might wait for ever.
 */
export class AskedNumbers {
  /** By part, then by the call's key; the parts that were asked about longest ago first. */
  readonly #parts = new Map<string, Map<string, Asked>>();
  #size = 0;

  /** @param draw the number of a call that has none */
  ask(partId: string, key: string, draw: () => Promise<number>): Asked {
    const calls = this.#parts.get(partId) ?? new Map<string, Asked>();
    this.#parts.set(partId, calls);
    const known = calls.get(key);
    if (known !== undefined) return known;
    const asked = { number: draw(), since: performance.now() };
    calls.set(key, asked);
    this.#size += 1;
    // Whoever waits for it hears of that; the next draws another.
    asked.number.catch(() => {
      if (this.#parts.get(partId)?.get(key) === asked) this.forget(partId, key);
    });
    for (const oldest of this.#parts.keys()) {
      if (this.#size <= MOST_CALLS) break;
      this.forgetParts([oldest]);
    }
    return asked;
  }

  forget(partId: string, key: string): void {
    const calls = this.#parts.get(partId);
    if (calls?.delete(key) !== true) return;
    this.#size -= 1;
    if (calls.size === 0) this.#parts.delete(partId);
  }

  /** Something was written of these parts: a number that was asked for before does not cover it. */
  forgetParts(partIds: Iterable<string>): void {
    for (const id of partIds) {
      this.#size -= this.#parts.get(id)?.size ?? 0;
      this.#parts.delete(id);
    }
  }
}
