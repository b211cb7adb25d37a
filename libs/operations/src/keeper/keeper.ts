import type { Logger } from '#core';
import type { Reader } from '#database';
import { declared } from '../kind/declared.js';

export interface KeeperContext {
  /** Aborts when the lease is lost, the target is gone or the worker drains. */
  readonly signal: AbortSignal;
  /** Rises with each taking of this target; check writes against it. */
  readonly fence: number;
  readonly reader: Reader;
  readonly log: Logger;
}

/** Holds, for each of its targets and at one place over all workers, something that runs for long: a monitor, a socket. */
export interface Keeper {
  /** Lower-case words with hyphens, unique. */
  readonly name: string;
  /** Ids of what is to be kept now, as backends; asked every few seconds. */
  targets(reader: Reader): Promise<readonly string[]>;
  /** Runs until the signal aborts. When it throws or ends earlier it is started again, with back-off, here or elsewhere. */
  hold(target: string, context: KeeperContext): Promise<void>;
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/;

export function defineKeeper(keeper: Keeper): Keeper {
  declared(NAME.test(keeper.name), `keeper name "${keeper.name}" must be lower-case words with hyphens`);
  return keeper;
}
