import { OvsdbError, RefusedError, UnavailableError } from '../errors.js';
import { parseSchema, type DatabaseSchema } from '../schema/schema.js';
import { formatEndpoint, openSocket, type Endpoint } from '../wire/endpoint.js';
import { formatJson, type Json } from '../wire/json.js';
import { monitorTopic, NotificationRouter } from '../wire/notification-router.js';
import { RpcSession } from '../wire/rpc-session.js';
import { DatabaseWatch, type DatabaseStatus } from './database-watch.js';
import type { ClientSettings } from './options.js';

/** From the newest to that of RFC 7047; a server has all older ones. */
export const MONITOR_METHODS = ['monitor_cond_since', 'monitor_cond', 'monitor'] as const;
export type MonitorMethod = (typeof MONITOR_METHODS)[number];

const SCHEMA_MONITOR = '_Schema';

/** What one connection leaves behind for the next. */
export interface ConnectionMemory {
  schema?: { readonly text: string; readonly parsed: DatabaseSchema };
  /** The newest state of the cluster that was seen: a server behind it would show us the past. */
  newest?: { readonly cluster: string; readonly index: number | bigint };
}

/** A connection to a server on which the database can be used. It ends itself as soon as it no longer can. */
export class Connection {
  /** The best that this server is known to have. */
  monitorMethod: MonitorMethod = MONITOR_METHODS[0];

  constructor(
    readonly endpoint: string,
    readonly session: RpcSession,
    readonly schema: DatabaseSchema,
    readonly router: NotificationRouter,
  ) {}
}

/**
 * Connects, and finds out whether the database can be used there.
 * @throws UnavailableError when it cannot; RefusedError, ProtocolError when the server makes no sense
 */
export async function connect(endpoint: Endpoint, settings: ClientSettings, memory: ConnectionMemory, closing: AbortSignal): Promise<Connection> {
  const timeout = AbortSignal.timeout(settings.connectTimeoutMs);
  const signal = AbortSignal.any([closing, timeout]);
  let session: RpcSession | undefined;
  try {
    const socket = await openSocket(endpoint, settings.tls, signal);
    const router = new NotificationRouter();
    session = new RpcSession(socket, settings, router.route);
    const schema = await prepare(session, router, settings, memory, signal);
    return new Connection(formatEndpoint(endpoint), session, schema, router);
  } catch (error) {
    const reason = describe(error, timeout, settings.connectTimeoutMs);
    session?.end(reason);
    throw reason;
  }
}

function describe(error: unknown, timeout: AbortSignal, timeoutMs: number): OvsdbError {
  if (timeout.aborted) return new UnavailableError(`the database was not usable within ${timeoutMs} ms`);
  if (error instanceof OvsdbError) return error;
  return new UnavailableError(error instanceof Error ? error.message : String(error), error);
}

async function prepare(
  session: RpcSession,
  router: NotificationRouter,
  settings: ClientSettings,
  memory: ConnectionMemory,
  signal: AbortSignal,
): Promise<DatabaseSchema> {
  const options = { timeoutMs: settings.connectTimeoutMs, signal };
  const watch = new DatabaseWatch(session, settings.database);
  const status = await watch.start(router, options, (changed) => {
    const problem = unfitness(changed, settings, memory);
    if (problem !== undefined) session.retire(new UnavailableError(problem));
  });
  const problem = status === 'not supported' ? undefined : unfitness(status, settings, memory);
  if (problem !== undefined) throw new UnavailableError(problem);
  const readSchema = (): Promise<DatabaseSchema> =>
    session.call('get_schema', [settings.database], { ...options, decode: (schema) => schemaOf(schema, memory) });
  const schema = await readSchema();
  const [table] = schema.tables.keys();
  if (status === 'not supported' || table === undefined) return schema;
  // A server that does not hang up tells of a conversion by canceling monitors; this one, of nothing, is there for that.
  router.listen(monitorTopic(SCHEMA_MONITOR), () => session.retire(new UnavailableError(`the database ${settings.database} was converted`)));
  const request = { [table]: [{ columns: [], where: [false] }] };
  const watching = session.call('monitor_cond', [settings.database, SCHEMA_MONITOR, request], { ...options, decode: () => undefined });
  // Once more, because it may have been converted in between.
  const [, current] = await Promise.all([watching, readSchema()]);
  return current;
}

/** The same object for as long as it is the same schema. */
function schemaOf(schema: Json, memory: ConnectionMemory): DatabaseSchema {
  const text = formatJson(schema);
  if (memory.schema?.text !== text) memory.schema = { text, parsed: parseSchema(schema) };
  return memory.schema.parsed;
}

/** Why the database cannot be used on this server now, in the terms of ovsdb-server(5). */
function unfitness(status: DatabaseStatus | undefined, { database, leaderOnly }: ClientSettings, memory: ConnectionMemory): string | undefined {
  if (status === undefined) return `the server has no database ${database}`;
  if (!status.connected) return `the server is cut off from the others of ${database}`;
  if (leaderOnly && !status.leader) return `the server does not lead ${database}`;
  if (status.cluster === undefined || status.index === undefined) return undefined;
  const { newest } = memory;
  if (newest?.cluster === status.cluster && status.index < newest.index) return `the server is behind what was already seen of ${database}`;
  memory.newest = { cluster: status.cluster, index: status.index };
  return undefined;
}

export const isUnknownMethod = (error: unknown): boolean => error instanceof RefusedError && error.error === 'unknown method';
