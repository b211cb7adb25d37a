/** A removal that takes longer to be seen is taken for somebody else's, which costs a look. */
const KEPT_MS = 60_000;

/** What this process has lately been asked to remove. */
export class Removals {
  readonly #at = new Map<string, number>();

  add(id: string): void {
    const now = performance.now();
    for (const [old, at] of this.#at) {
      if (now - at < KEPT_MS) break;
      this.#at.delete(old);
    }
    this.#at.delete(id);
    this.#at.set(id, now);
  }

  has(id: string): boolean {
    return this.#at.has(id);
  }
}
