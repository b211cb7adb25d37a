/** Tests that were left out of an examination, by the reason. */
export class Skips {
  private readonly tests = new Map<string, Set<string>>();

  add(test: string, reason: string): void {
    this.tests.set(reason, (this.tests.get(reason) ?? new Set()).add(test));
  }

  /** A line each, as `test: reason`. */
  get lines(): readonly string[] {
    return [...this.tests].flatMap(([reason, tests]) => [...tests].map((test) => `${test}: ${reason}`)).sort();
  }

  get reasons(): readonly string[] {
    return [...this.tests.keys()].sort();
  }
}
