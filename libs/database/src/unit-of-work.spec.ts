import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MuonError } from '#core';
import { refuseInsideTransaction, statement, type Transaction } from '#database';
import { roomDatabase, type RoomDatabase } from '#testing';

const insertNote = statement<never, [id: string]>('spec.insert_note', 'INSERT INTO note (id) VALUES ($1)');
const allNotes = statement<{ id: string }>('spec.all_notes', 'SELECT id FROM note ORDER BY id');
const bump = statement<{ total: number }, [id: number]>(
  'spec.bump',
  'UPDATE counter SET total = total + 1 WHERE id = $1 RETURNING total',
);

describe('a unit of work', () => {
  let room: RoomDatabase;

  beforeAll(async () => {
    room = await roomDatabase([], async (database) => {
      await database.dataSource.query('CREATE TABLE note (id text PRIMARY KEY)');
      await database.dataSource.query('CREATE TABLE counter (id int PRIMARY KEY, total bigint NOT NULL DEFAULT 0)');
      await database.dataSource.query('INSERT INTO counter (id) VALUES (1), (2)');
    });
  });
  afterAll(() => room.close());

  const notes = async (): Promise<string[]> => (await room.database.rows(allNotes)).map((row) => row.id);

  it('commits what it wrote, and runs its callbacks only then', async () => {
    const heard: string[] = [];
    await room.database.transaction(async (transaction) => {
      transaction.onCommit(() => heard.push('committed'));
      await transaction.execute(insertNote, 'kept');
      expect(heard).toEqual([]);
    });
    expect(await notes()).toContain('kept');
    expect(heard).toEqual(['committed']);
  });

  it('leaves nothing when the work throws, neither of pg nor of TypeORM', async () => {
    const heard: string[] = [];
    const attempt = room.database.transaction(async (transaction) => {
      transaction.onCommit(() => heard.push('committed'));
      await transaction.execute(insertNote, 'lost');
      await transaction.manager.query(`INSERT INTO note (id) VALUES ('lost too')`);
      throw new Error('no');
    });
    await expect(attempt).rejects.toThrow('no');
    expect(await notes()).not.toContain('lost');
    expect(await notes()).not.toContain('lost too');
    expect(heard).toEqual([]);
  });

  it('fails when the work swallowed a failed statement, of which nothing can be kept', async () => {
    const heard: string[] = [];
    const attempt = room.database.transaction(async (transaction) => {
      transaction.onCommit(() => heard.push('committed'));
      await transaction.execute(insertNote, 'swallowed');
      await transaction.execute(insertNote, 'swallowed').catch(() => undefined);
    });
    await expect(attempt).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await notes()).not.toContain('swallowed');
    expect(heard).toEqual([]);
  });

  it('throws at a query that comes after its end', async () => {
    let kept: Transaction | undefined;
    let stray: Promise<unknown> | undefined;
    await room.database.transaction(async (transaction) => {
      kept = transaction;
      stray = new Promise((resolve) => setImmediate(resolve)).then(async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return room.database.queuePool().query(`INSERT INTO note (id) VALUES ('stray')`);
      });
      stray.catch(() => undefined);
      await transaction.execute(insertNote, 'before the end');
    });
    await expect(kept?.execute(insertNote, 'stray')).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(() => kept?.manager).toThrow(MuonError);
    await expect(stray).rejects.toMatchObject({ detail: expect.stringContaining('has ended') });
    expect(await notes()).not.toContain('stray');
  });

  it('refuses a second unit of work, and a driver, inside itself', async () => {
    const nested = room.database.transaction(() => room.database.transaction(async () => undefined));
    await expect(nested).rejects.toMatchObject({ code: 'INTERNAL' });
    const driver = room.database.transaction(async () => refuseInsideTransaction('createMachine'));
    await expect(driver).rejects.toMatchObject({ detail: expect.stringContaining('createMachine') });
    refuseInsideTransaction('createMachine');
  });

  it('restarts the whole work after a deadlock', async () => {
    let attempts = 0;
    const meet = Promise.withResolvers<void>();
    const work = (first: number, second: number) => async (transaction: Transaction) => {
      attempts += 1;
      await transaction.rows(bump, first);
      if (attempts === 2) meet.resolve();
      await meet.promise;
      await transaction.rows(bump, second);
    };
    await Promise.all([room.database.transaction(work(1, 2)), room.database.transaction(work(2, 1))]);
    // The one that was restarted may take its first row again before the other has woken: then they meet once more.
    expect(attempts).toBeGreaterThanOrEqual(3);
    const totals = await room.database.dataSource.query('SELECT total FROM counter ORDER BY id');
    expect(totals).toEqual([{ total: 2 }, { total: 2 }]);
  });

  it('fails every statement that follows a failed one with the first error, and goes on after a savepoint', async () => {
    await room.database.transaction(async (transaction) => {
      const failing = transaction.savepoint(async () => {
        const notes = ['twice', 'twice', 'after'].map((id) => transaction.execute(insertNote, id));
        const outcomes = await Promise.allSettled(notes);
        expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'rejected']);
        await expect(transaction.rows(allNotes)).rejects.toMatchObject({ code: '23505' });
        await notes[1];
      });
      await expect(failing).rejects.toMatchObject({ code: '23505' });
      await transaction.execute(insertNote, 'after the savepoint');
    });
    expect(await notes()).toContain('after the savepoint');
    expect(await notes()).not.toContain('twice');
  });

  it('keeps what was given before its end though nobody waited for it', async () => {
    await room.database.transaction(async (transaction) => {
      void transaction.execute(insertNote, 'not waited for');
    });
    expect(await notes()).toContain('not waited for');
    const failing = room.database.transaction(async (transaction) => {
      transaction.execute(insertNote, 'not waited for').catch(() => undefined);
    });
    await expect(failing).rejects.toMatchObject({ code: '23505' });
  });

  it('releases row locks with a savepoint', async () => {
    await room.database.transaction(async (transaction) => {
      const inner = transaction.savepoint(async () => {
        await transaction.rows(bump, 1);
        throw new Error('back');
      });
      await expect(inner).rejects.toThrow('back');
      const other = await room.another();
      const locked = other.dataSource.query('SELECT id FROM counter WHERE id = 1 FOR UPDATE NOWAIT');
      expect(await locked).toHaveLength(1);
    });
  });
});
