import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '#core';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { operationsRoom } from '../room.js';
import { heldKind, readVisits } from './lone-worker.js';
import { OperationEngine } from './operation-engine.js';
import { eventually, Workbench } from './workbench.js';

const PROGRAM = `
  import { runnerImport } from 'vite';
  const conditions = ['source', 'node'];
  const { module } = await runnerImport(process.argv[1], {
    configFile: false,
    logLevel: 'error',
    environments: { inline: { resolve: { conditions } } },
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  });
  await module.main(process.argv[2]);
`;

/** The promise of the design: a dead worker's operation is taken over in less. */
const TAKEOVER_MS = 3000;

describe('workers as processes, with the lease of everyday', () => {
  let room: RoomDatabase;
  let bench: Workbench;
  const children: ChildProcess[] = [];
  const engines: OperationEngine[] = [];

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom], async (database) => {
      await database.dataSource.query(
        'CREATE TABLE visit (number int GENERATED ALWAYS AS IDENTITY, pid int NOT NULL, what text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())',
      );
      await database.dataSource.query('CREATE TABLE hold (pid int PRIMARY KEY)');
    });
    bench = new Workbench(room.database, [heldKind(room.database)]);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(engines.splice(0).map((engine) => engine.drain(1000)));
    await room.database.dataSource.query('DELETE FROM hold; DELETE FROM visit');
  });
  afterAll(() => room.close());

  async function startChild(): Promise<{ child: ChildProcess; pid: number }> {
    const file = fileURLToPath(new URL('./lone-worker.ts', import.meta.url));
    const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM, file, room.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const { pid, stdout } = child;
    if (pid === undefined || stdout === null) throw new Error('the child did not start');
    await room.database.dataSource.query('INSERT INTO hold (pid) VALUES ($1)', [pid]);
    await once(stdout, 'data');
    return { child, pid };
  }

  function startHere(): OperationEngine {
    const { registry, applier, bell } = bench;
    const engine = new OperationEngine({ database: room.database, registry, applier, bell, log: createLogger('here', 'silent') });
    engines.push(engine);
    engine.start();
    return engine;
  }

  /** Which processes did so with this operation. */
  const visits = async (what: 'entered' | 'committed', id: string): Promise<number[]> =>
    (await room.database.rows(readVisits)).filter((row) => row.what === `${what} ${id}`).map((row) => row.pid);

  it('takes over from a worker killed in mid-step in less than three seconds', async () => {
    const { child, pid } = await startChild();
    const id = await bench.submit('toy.held.create');
    await eventually(async () => (await visits('entered', id)).includes(pid), 'the child in its step');
    startHere();
    child.kill('SIGKILL');
    const killedAt = performance.now();
    await eventually(async () => (await visits('entered', id)).includes(process.pid), 'the takeover');
    const tookMs = performance.now() - killedAt;
    await bench.untilState(id, 'SUCCEEDED');
    expect(await visits('committed', id)).toEqual([process.pid]);
    console.log(`taken over ${Math.round(tookMs)} ms after SIGKILL`);
    expect(tookMs).toBeLessThan(TAKEOVER_MS);
  });

  it('a paused worker that comes back writes nothing of what was taken over, and works on', async () => {
    const { child, pid } = await startChild();
    const id = await bench.submit('toy.held.create');
    await eventually(async () => (await visits('entered', id)).includes(pid), 'the child in its step');
    child.kill('SIGSTOP');
    startHere();
    await bench.untilState(id, 'SUCCEEDED');
    await engines.splice(0)[0]?.drain(1000);
    // Its step may end now, and would like to commit.
    await room.database.dataSource.query('DELETE FROM hold');
    child.kill('SIGCONT');
    const next = await bench.submit('toy.held.create');
    await bench.untilState(next, 'SUCCEEDED');
    expect(await visits('committed', next)).toEqual([pid]);
    expect(await visits('committed', id)).toEqual([process.pid]);
    expect(await bench.see(id)).toMatchObject({ fence: 2, state: 'SUCCEEDED' });
    expect(await bench.steps(id)).toMatchObject([{ state: 'DONE', output: process.pid }]);
  });
});
