import type { Driver, DriverCall, DriverFactory } from '#drivers';

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
    return {
      kind: factory.kind,
      connect: async (connection) => this.wrapDriver(await factory.connect(connection), connection.backendId),
    };
  }

  /** Forgets what was called on the backend before. */
  clear(backendId: string): void {
    const kept = this.calls.filter((call) => call.backendId !== backendId);
    this.calls.splice(0, this.calls.length, ...kept);
  }

  of(backendId: string): RecordedCall[] {
    return this.calls.filter((call) => call.backendId === backendId);
  }

  private wrapDriver(driver: Driver, backendId: string): Driver {
    const port = <Port extends object>(target: Port): Port => this.wrapPort(target, backendId);
    return {
      capabilities: driver.capabilities,
      compute: port(driver.compute),
      network: port(driver.network),
      storage: port(driver.storage),
      hosts: port(driver.hosts),
      watch: (onEvent, signal) => driver.watch(onEvent, signal),
      tend: (signal) => driver.tend(signal),
      close: () => driver.close(),
    };
  }

  private wrapPort<Port extends object>(port: Port, backendId: string): Port {
    return new Proxy(port, {
      get: (target, property) => {
        const member: unknown = Reflect.get(target, property, target);
        if (typeof member !== 'function') return member;
        return (call: DriverCall, ...rest: unknown[]): unknown => {
          this.note(backendId, String(property), call.idempotencyKey);
          return (member as (...parameters: unknown[]) => unknown).call(target, call, ...rest);
        };
      },
    });
  }

  /** Operations' keys are `operation/attempt/step/resource`; others are nobody's step. */
  private note(backendId: string, method: string, key: string): void {
    const [operationId, attempt, part] = key.split('/');
    if (operationId === undefined || !operationId.startsWith('op_') || part === undefined) return;
    this.calls.push({ backendId, method, operationId, attempt: Number(attempt), part });
  }
}
