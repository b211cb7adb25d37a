type Listener = (...subject: never[]) => void;

/**
 * Calls all of an emitter's raw listeners, whatever another one throws; `emit` would stop at the first that does, in the
 * midst of what its caller is doing.
 */
export function tell(listeners: readonly Listener[], subject: unknown, report: (error: unknown) => void): void {
  for (const listener of listeners as readonly ((subject: unknown) => void)[]) {
    try {
      listener(subject);
    } catch (error) {
      report(error);
    }
  }
}
