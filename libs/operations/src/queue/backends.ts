import { createPostgresBackend, Queue, Worker, type PostgresConnectionOptions, type WorkerOptions } from 'bullmq';
import type { Database } from '#database';

/** Where the queue lives. Redis needs the optional package `ioredis`. */
export type QueueBackend = { kind: 'postgres' } | { kind: 'redis'; url: string };

/** What we use of BullMQ's classes, which are typed by their backend. */
export type JobQueue = Pick<Queue, 'waitUntilReady' | 'add' | 'addBulk' | 'remove' | 'upsertJobScheduler'> & Closable;
export type JobWorker = Closable;

interface Closable {
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

export type WorkerSettings = Omit<WorkerOptions, 'connection'>;

export function openQueue(backend: QueueBackend, database: Database, name: string): JobQueue {
  if (backend.kind === 'redis') return new Queue(name, { connection: redis(backend.url) });
  return new Queue(name, { connection: poolOf(database) }, createPostgresBackend) as unknown as JobQueue;
}

export function openWorker(
  backend: QueueBackend,
  database: Database,
  name: string,
  process: (job: { name: string }) => Promise<void>,
  settings: WorkerSettings,
): JobWorker {
  if (backend.kind === 'redis') return new Worker(name, process, { ...settings, connection: redis(backend.url) });
  return new Worker(name, process, { ...settings, connection: poolOf(database) }, createPostgresBackend);
}

/** BullMQ describes the few methods of a pool that it uses in words of its own. */
function poolOf(database: Database): PostgresConnectionOptions {
  return database.queuePool() as unknown as PostgresConnectionOptions;
}

/** `maxRetriesPerRequest` is what BullMQ asks of connections that block. */
function redis(url: string): { url: string; maxRetriesPerRequest: null } {
  return { url, maxRetriesPerRequest: null };
}
