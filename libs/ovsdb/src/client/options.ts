import { InvalidArgumentError } from '../errors.js';
import { parseEndpoint, type Endpoint, type TlsOptions } from '../wire/endpoint.js';
import type { SessionLimits } from '../wire/rpc-session.js';

export interface ClientOptions {
  /** The database's name, as in `OVN_Northbound`. */
  readonly database: string;
  /** One or several servers of the same database: `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`, `unix:FILE` (ovsdb(7)). */
  readonly endpoints: readonly string[];
  /** For `ssl:` endpoints. */
  readonly tls?: TlsOptions;
  /**
   * Of a clustered database, use the server that leads (ovsdb(7)); true by default. What is read is then never old, and
   * writes take no detour. A database that is not clustered has only leaders.
   */
  readonly leaderOnly?: boolean;
  /** For calls that name none, in milliseconds; 30,000 by default. It includes waiting for a connection. */
  readonly timeoutMs?: number;
  /** How long one endpoint may take until the database is usable there, in milliseconds; 10,000 by default. */
  readonly connectTimeoutMs?: number;
  /** The pause after all endpoints have failed is random, doubles from about `reconnectMinMs`, and ends at `reconnectMaxMs`; 100 and 8,000 by default. */
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  /** After this long without a word, the server is asked for one, in milliseconds; 5,000 by default. */
  readonly keepAliveMs?: number;
  /** Without any word for this long after that, the connection is given up, in milliseconds; 10,000 by default. */
  readonly keepAliveTimeoutMs?: number;
  /** Calls that may be waiting at once, for a connection or an answer; 4,096 by default. */
  readonly maxInFlight?: number;
  /** Bytes that may wait to be sent; 16 MiB by default. */
  readonly maxOutgoingBytes?: number;
  /** The longest message that is accepted, in bytes; 256 MiB by default. A monitor's first answer holds all that it monitors. */
  readonly maxMessageBytes?: number;
}

/** For one call. */
export interface CallOptions {
  /** In milliseconds, waiting for a connection included. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ClientSettings extends SessionLimits {
  readonly database: string;
  readonly endpoints: readonly Endpoint[];
  readonly tls: TlsOptions;
  readonly leaderOnly: boolean;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  readonly maxInFlight: number;
}

const MIB = 1024 * 1024;
/** Strings of V8 end at about 512 Mi characters. */
const LONGEST_MESSAGE = 511 * MIB;
/** Timers of Node end there. */
export const LONGEST_TIME_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError */
export function checkWhole(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new InvalidArgumentError(name, `${value} is not a whole number from 1 to ${most}`);
}

type NumberOption = Exclude<keyof ClientSettings, 'database' | 'endpoints' | 'tls' | 'leaderOnly'>;

/** @throws InvalidArgumentError */
export function settingsOf(options: ClientOptions): ClientSettings {
  if (options.database === '') throw new InvalidArgumentError('database', 'a name is needed');
  if (options.endpoints.length === 0) throw new InvalidArgumentError('endpoints', 'at least one is needed');
  const number = (name: NumberOption, standard: number, most: number): number => checkWhole(name, options[name] ?? standard, most);
  return {
    database: options.database,
    endpoints: options.endpoints.map((endpoint, index) => parseEndpoint(endpoint, `endpoints.${index}`)),
    tls: options.tls ?? {},
    leaderOnly: options.leaderOnly ?? true,
    timeoutMs: number('timeoutMs', 30_000, LONGEST_TIME_MS),
    connectTimeoutMs: number('connectTimeoutMs', 10_000, LONGEST_TIME_MS),
    reconnectMinMs: number('reconnectMinMs', 100, LONGEST_TIME_MS),
    reconnectMaxMs: number('reconnectMaxMs', 8_000, LONGEST_TIME_MS),
    keepAliveMs: number('keepAliveMs', 5_000, LONGEST_TIME_MS),
    keepAliveTimeoutMs: number('keepAliveTimeoutMs', 10_000, LONGEST_TIME_MS),
    maxInFlight: number('maxInFlight', 4_096, 1_000_000),
    maxOutgoingBytes: number('maxOutgoingBytes', 16 * MIB, LONGEST_MESSAGE),
    maxMessageBytes: number('maxMessageBytes', 256 * MIB, LONGEST_MESSAGE),
  };
}
