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
