import { declared } from './declared.js';
import type { OperationKind } from './operation-kind.js';

/** All kinds that a process submits or runs. Several versions of one kind may stand side by side. */
export class OperationRegistry {
  private readonly byHandler = new Map<string, OperationKind<unknown>>();
  private readonly latest = new Map<string, OperationKind<unknown>>();

  register(...kinds: readonly OperationKind<unknown>[]): this {
    for (const kind of kinds) this.add(kind);
    return this;
  }

  /** The kind that new operations get: the highest version. */
  current(kind: string): OperationKind<unknown> {
    const found = this.latest.get(kind);
    declared(found !== undefined, `no operation kind "${kind}" is registered`);
    return found;
  }

  find(handler: string): OperationKind<unknown> | undefined {
    return this.byHandler.get(handler);
  }

  /** What this process can run. */
  get handlers(): string[] {
    return [...this.byHandler.keys()].sort();
  }

  /** The newest version of every kind, by name; the faults suite walks it. */
  get kinds(): OperationKind<unknown>[] {
    return [...this.latest.values()].sort((one, other) => (one.kind < other.kind ? -1 : 1));
  }

  /**
   * Call once all rooms have registered: a compensation that names an unknown kind would only show in the hour of need.
   * @throws naming the first mistake
   */
  verify(): void {
    for (const kind of this.byHandler.values()) {
      for (const { name, compensate } of kind.steps) {
        if (typeof compensate !== 'string') continue;
        declared(this.latest.has(compensate), `step "${name}" of ${kind.kind} is compensated by unknown kind "${compensate}"`);
      }
    }
  }

  private add(kind: OperationKind<unknown>): void {
    for (const known of this.byHandler.values()) {
      const twice = known.kind === kind.kind && known.version === kind.version;
      declared(!twice, `operation kind ${kind.kind}@${kind.version} has two handlers`);
    }
    this.byHandler.set(kind.handler, kind);
    const latest = this.latest.get(kind.kind);
    if (latest === undefined || latest.version < kind.version) this.latest.set(kind.kind, kind);
  }
}
