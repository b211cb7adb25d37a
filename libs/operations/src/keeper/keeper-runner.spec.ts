import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '#core';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { eventually } from '../engine/workbench.js';
import { NamedLeases } from '../lease/named-leases.js';
import { operationsRoom } from '../room.js';
import { defineKeeper } from './keeper.js';
import { KeeperRunner } from './keeper-runner.js';

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));

describe('keepers', () => {
  let room: RoomDatabase;
  const log = createLogger('keepers', 'silent');
  const open: { close(): Promise<void> }[] = [];
  let targets: string[] = [];
  /** `worker target` of every hold now. */
  const holding = new Set<string>();
  let begun: { worker: string; target: string; fence: number }[] = [];
  let failures = 0;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    await room.database.dataSource.query('DELETE FROM lease');
    begun = [];
    failures = 0;
  });
  afterAll(() => room.close());

  function worker(name: string) {
    const leases = new NamedLeases({ database: room.database, log, leaseMs: 400, renewEveryMs: 100 });
    leases.start();
    const keeper = defineKeeper({
      name: 'monitor',
      targets: async () => targets,
      async hold(target, { signal, fence }) {
        begun.push({ worker: name, target, fence });
        if (failures > 0) {
          failures -= 1;
          throw new Error('the socket broke');
        }
        holding.add(`${name} ${target}`);
        await untilAborted(signal);
        holding.delete(`${name} ${target}`);
      },
    });
    const runner = new KeeperRunner({ database: room.database, leases, keepers: [keeper], log, lookEveryMs: 30 });
    open.push(leases, runner);
    runner.start();
    return { runner, leases };
  }

  it('holds each target once over all workers', async () => {
    targets = ['a', 'b', 'c'];
    worker('one');
    worker('two');
    await eventually(() => holding.size === 3, 'all held');
    expect(new Set([...holding].map((each) => each.split(' ')[1]))).toEqual(new Set(['a', 'b', 'c']));
  });

  it('follows the targets', async () => {
    targets = ['a'];
    const { runner } = worker('one');
    await eventually(() => holding.size === 1, 'a');
    targets = ['b'];
    await eventually(() => holding.has('one b') && !holding.has('one a'), 'b instead');
    // The lease of the one that was let go is given back a moment later.
    await eventually(() => runner.held.join() === 'keeper:monitor:b', 'nothing held but b');
  });

  it('is taken over when its worker dies, by a higher fence, and the old one hears of it', async () => {
    targets = ['a'];
    const first = worker('one');
    await eventually(() => holding.has('one a'), 'the first');
    await first.leases.close();
    worker('two');
    await eventually(() => holding.has('two a'), 'the takeover');
    expect(begun.map((each) => each.fence)).toEqual([1, 2]);
  });

  it('gives its targets up at once when it drains', async () => {
    targets = ['a', 'b'];
    const first = worker('one');
    await eventually(() => holding.size === 2, 'both');
    await first.runner.close();
    expect(holding.size).toBe(0);
    const free = await room.database.dataSource.query('SELECT name FROM lease WHERE owner IS NULL ORDER BY name');
    expect(free).toEqual([{ name: 'keeper:monitor:a' }, { name: 'keeper:monitor:b' }]);
    worker('two');
    await eventually(() => holding.size === 2, 'the next');
  });

  it('starts again after a failure, later each time', async () => {
    targets = ['a'];
    failures = 2;
    worker('one');
    await eventually(() => holding.has('one a'), 'a hold that lasts');
    expect(begun.map((each) => each.fence)).toEqual([1, 2, 3]);
  });
});
