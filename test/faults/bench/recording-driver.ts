import type { DriverFactory } from '#drivers';
import { aroundCalls } from './around-calls.js';

/** One call that reached a backend's driver, whatever came of it. */
export interface RecordedCall {
  backendId: string;
  method: string;
  operationId: string;
  attempt: number;
  /** The step's name, with `undo-` before it when it was taken back. */
  part: string;
}

/** Calls that only look: a late effect of one is none. */
const READS = /^(get|list|read|realised|diskHealth)/;

export function isRead(method: string): boolean {
  return READS.test(method);
}

/** Notes which step made which call. The driver behind it is the real one. */
export class CallRecorder {
  private readonly calls: RecordedCall[] = [];

  wrap(factory: DriverFactory): DriverFactory {
    return aroundCalls(factory, async ({ backendId, method, call, make }) => {
      this.note(backendId, method, call.idempotencyKey);
      return make(call);
    });
  }

  /** Forgets what was called on the backend before. */
  clear(backendId: string): void {
    const kept = this.calls.filter((call) => call.backendId !== backendId);
    this.calls.splice(0, this.calls.length, ...kept);
  }

  of(backendId: string): RecordedCall[] {
    return this.calls.filter((call) => call.backendId === backendId);
  }

  /** Operations' keys are `operation/attempt/step/resource`; others are nobody's step. */
  private note(backendId: string, method: string, key: string): void {
    const [operationId, attempt, part] = key.split('/');
    if (operationId === undefined || !operationId.startsWith('op_') || part === undefined) return;
    this.calls.push({ backendId, method, operationId, attempt: Number(attempt), part });
  }
}
