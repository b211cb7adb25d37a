import type { OperationState } from '#operations';
import type { Stage } from './bench/lane.js';

/** An operation that is ready to be submitted. */
export interface Prepared {
  /** Starts it by the service that people use. @returns the operation's id */
  submit(): Promise<string>;
  /** Deletes what it changes. @returns the deletion's operation */
  remove?(): Promise<string>;
  /** Once it has ended and before all is judged: what was away while it ran comes back, and is swept and mended. */
  returns?(): Promise<void>;
  /** What must hold besides the invariants of the house, for how it ended; each text is a violation. */
  check?(state: OperationState): Promise<string[]>;
}

/** Made once a lane, and made anew after a run that has left something behind. */
export interface Base {
  readonly key: string;
  make(stage: Stage): Promise<unknown>;
}

/** Thrown by `prepare`: no more can be made on this base, so that another one is needed. */
export class BaseSpent extends Error {}

/** How one kind of operation is put to the test. */
export interface Scenario {
  readonly kind: string;
  /** What may stand on a lane for many runs; without it every run has a stage of its own. */
  readonly base?: Base;
  /** Hosts with a pool that all of them reach; pools of their own otherwise. */
  readonly sharedStorage?: true;
  /** Makes everything that the operation needs. */
  prepare(stage: Stage, base: unknown): Promise<Prepared>;
  /** When something that it started fails for good, it waits for people, who call it off; otherwise it fails too. */
  readonly waitsForPeople?: true;
  /** Own calls whose failure, even for good, does not keep the operation from going on. `part` is a step, or `undo-` and a step. */
  readonly bears?: readonly { part: string; method: string; because: string }[];
  /** What it changes can be deleted meanwhile: `Prepared.remove` does. */
  readonly removable?: true;
  /** What it could not do is done by the next look for orphans and drift, as after every late effect. */
  readonly mendedLater?: true;
}
