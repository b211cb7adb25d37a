import { toMuonError } from '#core';
import { refuseInsideTransaction } from '#database';
import type { Driver, DriverCall } from '#drivers';
import type { CallLimiter } from './call-limiter.js';
import type { CircuitBreaker } from './circuit-breaker.js';

/** What stands before every call to a backend. */
export interface Gate {
  readonly backendName: string;
  readonly limiter: CallLimiter;
  readonly breaker: CircuitBreaker;
}

type Method = (call: DriverCall, ...rest: unknown[]) => Promise<unknown>;

/** A driver whose every call is refused inside a unit of work, takes its turn, ends in time and is judged by the breaker. */
export function guardDriver(driver: Driver, gate: Gate): Driver {
  return {
    capabilities: driver.capabilities,
    compute: guardPort(driver.compute, 'compute', gate),
    network: guardPort(driver.network, 'network', gate),
    storage: guardPort(driver.storage, 'storage', gate),
    hosts: guardPort(driver.hosts, 'hosts', gate),
    watch: (onEvent, signal) => driver.watch(onEvent, signal),
    tend: (signal) => driver.tend(signal),
    close: () => driver.close(),
  };
}

/** Every method of a port takes the `DriverCall` first, so one rule fits all of them. */
function guardPort<Port extends object>(port: Port, portName: string, gate: Gate): Port {
  return new Proxy(port, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function') return member;
      const method = member as Method;
      const what = `"${gate.backendName}" (${portName}.${String(property)})`;
      return (call: DriverCall, ...rest: unknown[]) => guardedCall(gate, what, call, (inner) => method.call(target, inner, ...rest));
    },
  });
}

async function guardedCall(
  gate: Gate,
  what: string,
  call: DriverCall,
  work: (call: DriverCall) => Promise<unknown>,
): Promise<unknown> {
  refuseInsideTransaction(what);
  gate.breaker.check();
  let isSent = false;
  try {
    const answer = await gate.limiter.run(what, call.timeoutMs, call.signal, (signal, timeoutMs) => {
      isSent = true;
      return work({ idempotencyKey: call.idempotencyKey, timeoutMs, signal });
    });
    gate.breaker.answered();
    return answer;
  } catch (error) {
    // Waiting in our own queue says nothing about the backend.
    if (isSent) gate.breaker.failed(error);
    throw toMuonError(error);
  }
}
