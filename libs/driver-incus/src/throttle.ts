/** Work under way by key, at most so much of each at once. */
export class Throttle {
  private readonly running = new Map<string, number>();

  constructor(private readonly limit: number) {}

  /** @returns false, at once, when there is no room */
  tryTake(key: string): boolean {
    const running = this.running.get(key) ?? 0;
    if (running >= this.limit) return false;
    this.running.set(key, running + 1);
    return true;
  }

  release(key: string): void {
    const running = (this.running.get(key) ?? 1) - 1;
    if (running === 0) this.running.delete(key);
    else this.running.set(key, running);
  }
}
