import type { DriverCall, NetworkDriver } from '#drivers';
import type { Proxy as Link } from '#ovsdb/testing';

/** Short, and yet enough for a transaction. */
const LOST_AFTER_MS = 500;

/** Begins to disturb. @returns what ends it */
type Disturbance = () => () => void;

/** A network whose link to the northbound database is disturbed while one call is made. */
export interface DisturbedNetwork<Network> {
  network: Network;
  /** The next call of this method takes effect, and its answer is lost. */
  loseNextAnswer: (method: string) => void;
  /** The next call of this method gets no answer. */
  hangNext: (method: string) => void;
}

/** @param link the network's only way to the northbound database */
export function disturbed<Network extends NetworkDriver>(network: Network, link: Link): DisturbedNetwork<Network> {
  const disturbances = new Map<PropertyKey, Disturbance>();
  const forward = (): void => {
    link.fromClient = () => 'forward';
    link.fromServer = () => 'forward';
  };
  const proxy = new Proxy(network, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return async (call: DriverCall, ...rest: unknown[]): Promise<unknown> => {
        const begin = disturbances.get(name);
        if (begin === undefined) return Reflect.apply(member, target, [call, ...rest]) as Promise<unknown>;
        disturbances.delete(name);
        const end = begin();
        try {
          const shortened = { ...call, timeoutMs: Math.min(call.timeoutMs, LOST_AFTER_MS) };
          return await (Reflect.apply(member, target, [shortened, ...rest]) as Promise<unknown>);
        } finally {
          end();
        }
      };
    },
  });
  return {
    network: proxy,
    loseNextAnswer: (method) =>
      void disturbances.set(method, () => {
        // What is read is answered; of what is written, and of what is read after that, no answer comes.
        let answers = 0;
        link.fromServer = (message) => {
          if ('method' in message) return 'forward';
          answers += 1;
          return answers > 1 ? 'drop' : 'forward';
        };
        return forward;
      }),
    hangNext: (method) =>
      void disturbances.set(method, () => {
        link.fromClient = (message) => (message['method'] === 'transact' ? 'drop' : 'forward');
        return forward;
      }),
  };
}
