import type { Direction } from '../operation/operation.js';
import type { StepResult } from '../kind/step-result.js';

/** Where an operation is when a hook is called. */
export interface HookPoint {
  operationId: string;
  kind: string;
  resourceId: string;
  attempt: number;
  step: string;
  direction: Direction;
}

/** For fault tests: each may block, or throw `SimulatedCrash`. */
export interface EngineHooks {
  beforeStep?(point: HookPoint): Promise<void>;
  /** The step has run, nothing is committed. `result` is an error when it threw. */
  afterRun?(point: HookPoint, result: StepResult | Error): Promise<void>;
  afterCommit?(point: HookPoint): Promise<void>;
}

/** The engine forgets the operation without writing anything, as if its process had died there. */
export class SimulatedCrash extends Error {
  constructor() {
    super('simulated crash');
    this.name = 'SimulatedCrash';
  }
}

/** Somebody else has the operation, or may: nothing may be called or written in its name any more. */
export class LeaseLost extends Error {
  constructor(operationId: string) {
    super(`the lease of ${operationId} is lost`);
    this.name = 'LeaseLost';
  }
}
