import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet, statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { defineOperation, done, findOperationAttempts, lockResources, OPERATIONS, operationId, type StepContext } from '../index.js';
import { handOver } from '../lock/hand-over.js';
import { operationsRoom } from '../room.js';
import { eventually, Gate, Workbench } from './workbench.js';

const waiters = statement<{ pid: number }>(
  'locks.waiters',
  `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);

let log: string[] = [];
let behaviour: Record<string, (context: StepContext<unknown>) => Promise<unknown> | undefined> = {};
const acts = (name: string) => async (context: StepContext<unknown>) => {
  log.push(`${name} ${context.operation.resourceId} ${context.operation.attempt}`);
  await behaviour[name]?.(context);
  return done();
};

const create = defineOperation({
  kind: 'toy.vm.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    { name: 'disk', run: acts('disk'), undo: acts('undo disk') },
    { name: 'machine', run: acts('machine'), undo: acts('undo machine') },
  ],
  // Takes the lock again, as admission did.
  async readmit({ operation }) {
    const changes = new ChangeSet();
    lockResources(changes, operation.id, [operation.resourceId]);
    changes.result = { attempt: operation.attempt };
    return changes;
  },
});
const remove = defineOperation({
  kind: 'toy.vm.delete',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [{ name: 'remove', pivot: true, run: acts('remove') }],
});

describe('resource locks', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    bench = new Workbench(room.database, [create, remove]);
  });
  afterEach(async () => {
    await bench.close();
    log = [];
    behaviour = {};
  });
  afterAll(() => room.close());

  const submit = (kind: string, vm: string, more: object = {}): Promise<string> =>
    bench.submit(kind, {}, { resourceId: vm, ...more });

  it('refuses a second change, naming the first, until that has ended', async () => {
    const first = await submit('toy.vm.create', 'vm-1', { locks: ['vm-1', 'disk-1'] });
    await expect(submit('toy.vm.create', 'vm-1', { locks: ['disk-1', 'disk-9'] })).rejects.toMatchObject({
      code: 'RESOURCE_BUSY',
      data: { resourceId: 'disk-1', operationId: first, operationKind: 'toy.vm.create' },
    });
    expect((await bench.locks()).map((lock) => lock.resource_id)).toEqual(['disk-1', 'vm-1']);
    bench.engine();
    await bench.untilState(first, 'SUCCEEDED');
    expect(await bench.locks()).toEqual([]);
    const second = await submit('toy.vm.create', 'vm-1', { locks: ['vm-1'] });
    await bench.untilState(second, 'SUCCEEDED');
  });

  it('lets exactly one of many at once in', async () => {
    const all = await Promise.allSettled(Array.from({ length: 12 }, () => submit('toy.vm.create', 'vm-2', { locks: ['vm-2', 'disk-2'] })));
    expect(all.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    for (const each of all) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'RESOURCE_BUSY' });
    bench.engine();
    await eventually(async () => (await bench.locks()).length === 0, 'the end of the one');
  });

  it('a delete of a busy resource cancels its holder, waits for it and runs next', async () => {
    const gate = new Gate();
    behaviour.machine = (context) => gate.pass(context.signal);
    const seen = new Gate();
    behaviour['undo machine'] = () => seen.pass();
    bench.engine({ renewEveryMs: 20 });
    const first = await submit('toy.vm.create', 'vm-3', { locks: ['vm-3', 'disk-3'] });
    await gate.arrival;
    const second = await submit('toy.vm.delete', 'vm-3', { succeeds: ['vm-3', 'disk-3', 'port-3'] });
    const waiting = await bench.see(second);
    expect(waiting).toMatchObject({ state: 'QUEUED', blocker: { code: 'RESOURCE_BUSY', data: { operationId: first } } });
    seen.open();
    await bench.untilState(second, 'SUCCEEDED');
    expect(await bench.see(first)).toMatchObject({ state: 'CANCELLED' });
    expect(log).toEqual(['disk vm-3 1', 'machine vm-3 1', 'undo machine vm-3 1', 'undo disk vm-3 1', 'remove vm-3 1']);
    expect(await bench.locks()).toEqual([]);
  });

  it('a delete waits for a holder past its pivot, and a second delete is refused', async () => {
    const gate = new Gate();
    behaviour.remove = () => gate.pass();
    bench.engine();
    const first = await submit('toy.vm.delete', 'vm-4', { locks: ['vm-4'] });
    await gate.arrival;
    const second = await submit('toy.vm.delete', 'vm-4', { succeeds: ['vm-4'] });
    await expect(submit('toy.vm.delete', 'vm-4', { succeeds: ['vm-4'] })).rejects.toMatchObject({
      code: 'RESOURCE_BUSY',
      data: { operationId: second },
    });
    expect(await bench.see(second)).toMatchObject({ state: 'QUEUED' });
    gate.open();
    await bench.untilState(second, 'SUCCEEDED');
    expect(await bench.see(first)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('a delete of what several operations hold waits for all of them', async () => {
    const gates = [new Gate(), new Gate()];
    let next = 0;
    behaviour.remove = () => (next < 2 ? gates[next++]?.pass() : undefined);
    bench.engine();
    const holders = [await submit('toy.vm.delete', 'vm-5', { locks: ['vm-5'] }), await submit('toy.vm.delete', 'vm-6', { locks: ['vm-6'] })];
    await Promise.all(gates.map((gate) => gate.arrival));
    const last = await submit('toy.vm.delete', 'both', { succeeds: ['vm-5', 'vm-6'] });
    // Both end at the same time: one of the two must see that nothing is left to wait for.
    for (const gate of gates) gate.open();
    await bench.untilState(last, 'SUCCEEDED');
    for (const holder of holders) expect(await bench.see(holder)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.locks()).toEqual([]);
  });

  it('two holders that end at the same time: the later one wakes who waited for both', async () => {
    const holders = [await submit('toy.vm.delete', 'vm-11', { locks: ['vm-11'] }), await submit('toy.vm.delete', 'vm-12', { locks: ['vm-12'] })];
    const last = await submit('toy.vm.delete', 'both-2', { succeeds: ['vm-11', 'vm-12'] });
    const asleep = async (): Promise<boolean> => (await bench.see(last)).blocker !== null;
    const first = new Gate();
    const earlier = room.database.transaction(async (transaction) => {
      await handOver(transaction, holders[0] ?? '');
      await first.pass();
    });
    await first.arrival;
    let handed = false;
    const later = room.database.transaction((transaction) => handOver(transaction, holders[1] ?? '')).then(() => (handed = true));
    await eventually(async () => (await room.database.rows(waiters)).length > 0, 'the later one waiting for the earlier');
    expect([handed, await asleep()]).toEqual([false, true]);
    first.open();
    await Promise.all([earlier, later]);
    expect(await asleep()).toBe(false);
    bench.engine();
    for (const id of [...holders, last]) await bench.until(id, (row) => row.ended_at !== null, 'its end');
    expect(await bench.locks()).toEqual([]);
  });

  it('a waiting delete can be cancelled; the resource then belongs to nobody', async () => {
    const gate = new Gate();
    behaviour.remove = () => gate.pass();
    bench.engine();
    const first = await submit('toy.vm.delete', 'vm-7', { locks: ['vm-7'] });
    await gate.arrival;
    const second = await submit('toy.vm.delete', 'vm-7', { succeeds: ['vm-7'] });
    await bench.service.cancel(second);
    await bench.untilState(second, 'CANCELLED');
    expect(await bench.locks()).toEqual([{ resource_id: 'vm-7', operation_id: first, successor_operation_id: null }]);
    gate.open();
    await bench.untilState(first, 'SUCCEEDED');
    expect(await bench.locks()).toEqual([]);
  });

  it('leaves neither operation nor lock when the rest of the change set is refused', async () => {
    const id = operationId.create();
    const changes = new ChangeSet();
    lockResources(changes, id, ['vm-8']);
    changes.add(OPERATIONS, { id, kind: 'toy.vm.create', resourceKind: 'vm', resourceId: 'vm-8', tenantId: null, projectId: null, input: {} });
    const refused = room.database.transaction(async (transaction) => {
      await bench.applier.apply(transaction, changes, { principalId: null, requestId: null });
      throw new MuonError('QUOTA_EXCEEDED', 'no');
    });
    await expect(refused).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    await expect(bench.see(id)).rejects.toThrow('there is no operation');
    expect(await bench.locks()).toEqual([]);
  });

  it('retries a failed operation as a new attempt; the earlier one stays readable', async () => {
    behaviour.machine = () => Promise.reject(new MuonError('BACKEND_FAILED', 'first time'));
    bench.engine();
    const id = await submit('toy.vm.create', 'vm-9', { locks: ['vm-9'] });
    await bench.untilState(id, 'FAILED');
    behaviour = {};
    await bench.service.retry(id, { principalId: 'pri_second', requestId: null });
    const row = await bench.untilState(id, 'SUCCEEDED');
    expect(row).toMatchObject({ attempt: 2, error: null });
    expect(log).toEqual(['disk vm-9 1', 'machine vm-9 1', 'undo machine vm-9 1', 'undo disk vm-9 1', 'disk vm-9 2', 'machine vm-9 2']);
    const steps = (await bench.steps(id)).map((step) => `${step.attempt} ${step.name} ${step.state}`);
    expect(steps).toEqual(['1 disk UNDONE', '1 machine UNDONE', '2 disk DONE', '2 machine DONE']);
    const attempts = await room.database.rows(findOperationAttempts, [id]);
    expect(attempts).toMatchObject([{ attempt: 1, state: 'FAILED', error: { message: 'first time' }, principal_id: 'pri_tester' }]);
    expect(await bench.locks()).toEqual([]);
    await expect(bench.service.retry(id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('refuses a retry while somebody else holds the resource, and of kinds that cannot be admitted again', async () => {
    behaviour.machine = () => Promise.reject(new MuonError('BACKEND_FAILED', 'no'));
    bench.engine();
    const id = await submit('toy.vm.create', 'vm-10', { locks: ['vm-10'] });
    await bench.untilState(id, 'FAILED');
    const gate = new Gate();
    behaviour = { remove: () => gate.pass() };
    const other = await submit('toy.vm.delete', 'vm-10', { locks: ['vm-10'] });
    await expect(bench.service.retry(id)).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationId: other } });
    expect(await bench.see(id)).toMatchObject({ state: 'FAILED', attempt: 1 });
    gate.open();
    await bench.untilState(other, 'SUCCEEDED');
    await expect(bench.service.retry(other)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await expect(bench.service.retry('op_unknown')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
