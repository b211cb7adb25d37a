import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Logger } from '#core';

/** Resolves at the first SIGTERM or SIGINT; later ones are ignored, since npm passes one on a second time. */
export function untilStopped(log?: Logger): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        log?.info({ signal }, 'shutting down');
        resolve();
      });
    }
  });
}

/**
 * Gives back what only starting needed, once, before the first request: V8 keeps it until its first full collection, which
 * an idle process does not come to. About a third of what api or worker hold when they start.
 */
export function releaseStartUpMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as NodeJS.GCFunction;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
