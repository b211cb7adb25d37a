import { runMigrations, type JobsOptions } from 'bullmq';
import { assert, type Logger } from '#core';
import type { Database, Transaction } from '#database';
import { closeQuietly, openQueue, openWorker, type JobQueue, type JobWorker, type QueueBackend } from './backends.js';
import type { Bell } from './bell.js';

export interface WorkQueueOptions {
  database: Database;
  backend: QueueBackend;
  log: Logger;
}

const BELLS = 'muon-operations';
const SCHEDULES = 'muon-reconcilers';
const QUEUES = [BELLS, SCHEDULES] as const;

/** A bell says only that there is something to do: nothing of it is worth keeping. Ids are generated (STACK §5.4). */
const JOB: JobsOptions = { removeOnComplete: true, removeOnFail: true, attempts: 1 };

/** A lost worker's bell may well be lost with it: the sweep finds the work. */
const WORKER = {
  concurrency: 1,
  lockDuration: 30_000,
  stalledInterval: 30_000,
  maxStalledCount: 1,
  drainDelay: 10,
  removeOnComplete: { count: 0 },
  removeOnFail: { count: 0 },
};

/** How long a queue may take to close in good order. */
const CLOSE_MS = 3000;

/** How long a busy worker may sit on one bell. */
const BELL_HELD_MS = 1000;

/** What answers bells: the engine. */
export interface BellAnswerer {
  wake(): void;
  whenFree(timeoutMs: number): Promise<void>;
}

/**
 * BullMQ, which decides only *when* work is looked for. On PostgreSQL a ring is a row of the transaction that it speaks
 * of; on Redis it follows the commit.
 */
export class WorkQueue implements Bell {
  private readonly queues = new Map<string, JobQueue>();
  private readonly workers: JobWorker[] = [];
  private readonly rung = new WeakSet<Transaction>();
  private readonly answerers: BellAnswerer[] = [];
  private closed = false;

  private constructor(private readonly options: WorkQueueOptions) {}

  /** @throws when the backend cannot be reached, or the queue's schema was never migrated */
  static async open(options: WorkQueueOptions): Promise<WorkQueue> {
    const queue = new WorkQueue(options);
    try {
      for (const name of QUEUES) await queue.queue(name).waitUntilReady();
    } catch (error) {
      await queue.close();
      throw error;
    }
    return queue;
  }

  async ring(transaction: Transaction): Promise<void> {
    if (this.rung.has(transaction)) return;
    this.rung.add(transaction);
    // An engine in this very process need not wait for the queue's round trip.
    for (const engine of this.answerers) transaction.onCommit(() => engine.wake());
    const queue = this.queue(BELLS);
    if (this.options.backend.kind === 'postgres') {
      // Joins the open unit of work, whose connection the pool's proxy finds.
      await queue.add('ring', {}, JOB);
      return;
    }
    transaction.onCommit(() => {
      queue.add('ring', {}, JOB).catch((error: unknown) => {
        this.options.log.warn({ err: error }, 'a bell could not be rung; the sweep finds the work');
      });
    });
  }

  /** Wakes the engine at each ring. A full one keeps a bell until it has a free slot, so that idle workers get the next. */
  answer(engine: BellAnswerer): void {
    this.answerers.push(engine);
    this.work(BELLS, async () => {
      await engine.whenFree(BELL_HELD_MS);
      engine.wake();
    });
  }

  /** Calls back in each period, in one of the workers; names that this worker does not know are not its own. */
  async schedule(periods: readonly { name: string; everyMs: number }[], run: (name: string) => void): Promise<void> {
    const queue = this.queue(SCHEDULES);
    for (const { name, everyMs } of periods) {
      await queue.upsertJobScheduler(name, { every: everyMs }, { name, data: {}, opts: JOB });
    }
    this.work(SCHEDULES, async (job) => run(job.name));
  }

  async close(): Promise<void> {
    // Connections that go with the pool afterwards are no problem of the queue.
    this.closed = true;
    const all = [...this.workers.splice(0), ...this.queues.values()];
    await Promise.all(all.map((each) => closeQuietly(each, CLOSE_MS)));
    this.queues.clear();
  }

  private work(name: string, process: (job: { name: string }) => Promise<void>): void {
    const { backend, database } = this.options;
    const worker = openWorker(backend, database, name, process, WORKER);
    worker.on('error', (error) => this.report(name, error));
    this.workers.push(worker);
  }

  private queue(name: (typeof QUEUES)[number]): JobQueue {
    const known = this.queues.get(name);
    if (known !== undefined) return known;
    const { backend, database } = this.options;
    const queue = openQueue(backend, database, name);
    queue.on('error', (error) => this.report(name, error));
    this.queues.set(name, queue);
    return queue;
  }

  private report(queue: string, error: unknown): void {
    if (!this.closed) this.options.log.warn({ err: error, queue }, 'the queue has a problem');
  }
}

/**
 * Brings BullMQ's schema up to date, and lets each queue have had its first job: the very first one makes a sequence, and
 * would block every other transaction that enqueues until it commits. Several processes may call it at once.
 */
export async function migrateQueue(database: Database, backend: QueueBackend, log: Logger): Promise<void> {
  if (backend.kind !== 'postgres') return;
  const client = await database.queuePool().connect();
  try {
    await client.query('SET statement_timeout = 0; SET lock_timeout = 0; SET transaction_timeout = 0');
    await runMigrations(client);
  } finally {
    client.release(true);
  }
  for (const name of QUEUES) {
    const queue = openQueue(backend, database, name);
    queue.on('error', (error) => log.warn({ err: error, queue: name }, 'the queue has a problem'));
    try {
      await queue.waitUntilReady();
      const job = await queue.add('first', {}, { ...JOB, delay: 3_600_000 });
      assert(job.id !== undefined, 'a job has an id');
      await queue.remove(job.id);
    } finally {
      await queue.close();
    }
  }
}
