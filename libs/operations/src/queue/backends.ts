import { createPostgresBackend, Queue, Worker, type PostgresConnectionOptions, type WorkerOptions } from 'bullmq';
import { withTimeout } from '#core';
import type { Database } from '#database';

/** Where the queue lives. Redis needs the optional package `ioredis`. */
export type QueueBackend = { kind: 'postgres' } | { kind: 'redis'; url: string };

/** What we use of BullMQ's classes, which are typed by their backend. */
export type JobQueue = Pick<Queue, 'waitUntilReady' | 'add' | 'addBulk' | 'remove' | 'upsertJobScheduler'> & Closable;
export type JobWorker = Closable;

interface Closable {
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
  disconnect(): Promise<void>;
}

export type WorkerSettings = Omit<WorkerOptions, 'connection'>;

export function openQueue(backend: QueueBackend, database: Database, name: string): JobQueue {
  if (backend.kind === 'redis') {
    // A ring that cannot be delivered now is worth nothing later.
    return new Queue(name, { connection: { url: backend.url, maxRetriesPerRequest: 1, enableOfflineQueue: false } });
  }
  return new Queue(name, { connection: poolOf(database) }, createPostgresBackend) as unknown as JobQueue;
}

export function openWorker(
  backend: QueueBackend,
  database: Database,
  name: string,
  process: (job: { name: string }) => Promise<void>,
  settings: WorkerSettings,
): JobWorker {
  if (backend.kind === 'redis') {
    // BullMQ asks for null where a connection blocks.
    return new Worker(name, process, { ...settings, connection: { url: backend.url, maxRetriesPerRequest: null } });
  }
  return new Worker(name, process, { ...settings, connection: poolOf(database) }, createPostgresBackend);
}

/** BullMQ describes the few methods of a pool that it uses in words of its own. */
function poolOf(database: Database): PostgresConnectionOptions {
  return database.queuePool() as unknown as PostgresConnectionOptions;
}

/** Closes in good order; what cannot, because its server is away, is cut off after a while. */
export async function closeQuietly(closable: Closable, patienceMs: number): Promise<void> {
  try {
    await withTimeout('Closing the queue', patienceMs, () => closable.close());
  } catch {
    // It would wait for the end of a connection that there is none of.
    closable.disconnect().catch(() => undefined);
  }
}
