import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { createLogger } from '#core';
import { Database, statement } from '#database';
import { defineOperation } from '../kind/operation-kind.js';
import { done } from '../kind/step-result.js';
import { OperationEngine } from './operation-engine.js';
import { Workbench } from './workbench.js';

/**
 * A worker in a process of its own, for specs that kill or pause it. Its kind's one long step notes in the database that
 * a process is in it, holds as long as the table `hold` names that process, and then notes that it is done.
 */

export const noteVisit = statement<never, [pid: number, what: string]>(
  'lone.note',
  'INSERT INTO visit (pid, what) VALUES ($1::int, $2)',
);
export const readVisits = statement<{ pid: number; what: string; at: Date }>(
  'lone.visits',
  'SELECT pid, what, at FROM visit ORDER BY number',
);
const isHeld = statement<{ pid: number }, [pid: number]>('lone.held', 'SELECT pid FROM hold WHERE pid = $1::int');

export const heldKind = (database: Database) =>
  defineOperation({
    kind: 'toy.held.create',
    version: 1,
    input: z.looseObject({}),
    deadlineMs: 600_000,
    steps: [
      {
        name: 'hold',
        async run(context) {
          const { id } = context.operation;
          await database.rows(noteVisit, process.pid, `entered ${id}`);
          while ((await database.rows(isHeld, process.pid)).length > 0 && !context.signal.aborted) await delay(10);
          return done({
            output: process.pid,
            commit: async (transaction) => void (await transaction.execute(noteVisit, process.pid, `committed ${id}`)),
          });
        },
      },
    ],
  });

/** The child's program: runs with the engine's own lease settings until it is killed. */
export async function main(url: string): Promise<void> {
  const database = await Database.open({ url, rooms: [], poolSize: 6 });
  const bench = new Workbench(database, [heldKind(database)]);
  const log = createLogger('lone worker', 'silent');
  const engine = new OperationEngine({ database, registry: bench.registry, applier: bench.applier, bell: bench.bell, log });
  engine.start();
  process.stdout.write('ready\n');
}
