import type { Driver, DriverCall, DriverFactory } from '#drivers';

/** A call on its way to a backend's driver. */
export interface PassingCall {
  readonly backendId: string;
  readonly method: string;
  readonly call: DriverCall;
  /** All but the first. */
  readonly parameters: readonly unknown[];
  /** Makes it, with these parameters. */
  readonly make: (call: DriverCall) => Promise<unknown>;
}

export type AroundCall = (passing: PassingCall) => Promise<unknown>;

/** Drivers all of whose calls go through somebody's hands. */
export function aroundCalls(factory: DriverFactory, around: AroundCall): DriverFactory {
  return {
    kind: factory.kind,
    connect: async (connection) => wrapDriver(await factory.connect(connection), connection.backendId, around),
  };
}

function wrapDriver(driver: Driver, backendId: string, around: AroundCall): Driver {
  const port = <Port extends object>(target: Port): Port => wrapPort(target, backendId, around);
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

function wrapPort<Port extends object>(port: Port, backendId: string, around: AroundCall): Port {
  return new Proxy(port, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function') return member;
      const method = member as (...parameters: unknown[]) => Promise<unknown>;
      return (call: DriverCall, ...parameters: unknown[]): Promise<unknown> =>
        around({ backendId, method: String(property), call, parameters, make: (as) => method.call(target, as, ...parameters) });
    },
  });
}
