import type { JsonObject, Logger } from '#core';
import type { ChangeSet, Reader } from '#database';
import { declared } from '../kind/declared.js';

export interface ReconcilerContext {
  /** Aborts at the run's time limit, when the lease is lost and when the worker drains. */
  readonly signal: AbortSignal;
  /** Rises with each run. */
  readonly fence: number;
  readonly reader: Reader;
  readonly log: Logger;
  /**
   * Starts operations (their origin becomes RECONCILER), which take the locks of what they change: RESOURCE_BUSY means
   * somebody is at it already.
   * @returns the change set's result
   * @throws when another worker has taken the run over
   */
  readonly submit: (changes: ChangeSet) => Promise<JsonObject>;
}

/** What a run says of the next one. */
export interface NextRun {
  /** Milliseconds until there is more to see than the period would wait for; longer than the period changes nothing. */
  readonly afterMs: number;
}

/**
 * Keeps something true: looks at what is, compares it with what shall be, and starts operations for the difference. It
 * takes no input, so that any wake-up is as good as any other.
 */
export interface Reconciler {
  /** Lower-case words with hyphens, unique. */
  readonly name: string;
  /** The longest time between two runs, all workers together. */
  readonly everyMs: number;
  /** How long one run may take; a minute when not said. */
  readonly timeoutMs?: number;
  /** @returns when to run again, where that is sooner than after the period */
  run(context: ReconcilerContext): Promise<NextRun | void>;
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/;

export function defineReconciler(reconciler: Reconciler): Reconciler {
  declared(NAME.test(reconciler.name), `reconciler name "${reconciler.name}" must be lower-case words with hyphens`);
  declared(reconciler.everyMs >= 100, `reconciler "${reconciler.name}" would run more often than every 100 ms`);
  return reconciler;
}
