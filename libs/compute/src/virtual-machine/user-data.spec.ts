import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { OperationRequests } from '#operations';
import type { SecretRef } from '#secrets';
import { computeBench, findCanary, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { sealingUserData } from '../index.js';

const PASSWORD = 'canary-of-the-user-data';
const USER_DATA = `#cloud-config\npassword: ${PASSWORD}\n`;

/** As an older version has left it. */
const asBefore = statement<never, [id: string, text: string]>(
  'spec.user_data_as_before',
  'UPDATE virtual_machine SET user_data = $2, user_data_secret = NULL WHERE id = $1',
);
const secretOf = statement<{ user_data_secret: SecretRef | null; version: number }, [id: string]>(
  'spec.user_data_secret',
  'SELECT user_data_secret, version FROM virtual_machine WHERE id = $1',
);
const keptSecrets = statement<{ secrets: number }>('spec.kept_secrets', 'SELECT count(*) AS secrets FROM secret');

describe('the user data of a machine', () => {
  let bench: ComputeBench;
  let requests: OperationRequests;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await computeBench();
    requests = new OperationRequests(bench.center.commands, bench.center.operations);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const found = () => findCanary(PASSWORD, { databaseUrls: [bench.room.url], log: '' });
  const told = async (id: string): Promise<string | undefined> => (await bench.center.world.machine(id))?.userData;
  const wish = (project: BenchProject, name: string) => ({ ...project, name, flavor: 'small', image: 'debian', userData: USER_DATA });
  async function remove(id: string): Promise<void> {
    expect(await bench.center.ended((await bench.machines.delete(access, id)).result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  }
  async function seal(): Promise<void> {
    const { database, log } = bench.room;
    const submit = () => Promise.reject(new Error('it starts nothing'));
    await sealingUserData(database, bench.center.secrets).run({ signal: AbortSignal.timeout(10_000), fence: 1, reader: database, log, submit });
  }
  /** One whose making has failed. */
  async function failed(project: BenchProject, name: string): Promise<{ id: string; operationId: string }> {
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine' });
    const { result } = await bench.machines.create(access, wish(project, name));
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    await bench.center.world.clearFaults();
    return { id: String(result.id), operationId: String(result.operationId) };
  }

  it('is told to the backend, and is in no column of the database in the clear, plans and keys of requests included', async () => {
    const project = await bench.freshProject();
    const { plan } = await bench.machines.create(access, wish(project, 'planned'), { dryRun: true });
    const { result } = await bench.machines.create(access, wish(project, 'asked'), { idempotencyKey: 'asked-once' });
    await bench.center.ended(result.operationId);
    const applied = await bench.center.commands.applyPlan(access, String(plan?.id));
    expect(await bench.center.ended(applied.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const ids = [String(result.id), String(applied.result.id)];
    for (const id of ids) expect(await told(id)).toBe(USER_DATA);
    expect(await found()).toEqual([]);
    const repeat = await bench.machines.create(access, wish(project, 'asked'), { idempotencyKey: 'asked-once' });
    expect(repeat).toMatchObject({ replayed: true, result: { id: result.id } });
    const other = bench.machines.create(access, { ...wish(project, 'asked'), userData: 'other' }, { idempotencyKey: 'asked-once' });
    await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    for (const id of ids) await remove(id);
    expect(await bench.left(project.projectId)).toEqual([]);
  });

  it('opens only for its machine', async () => {
    const project = await bench.freshProject();
    const [one, other] = [await bench.running(project, 'one', { userData: USER_DATA }), await bench.running(project, 'other')];
    const secret = (await bench.room.database.first(secretOf, one))?.user_data_secret;
    expect((await bench.room.database.first(secretOf, other))?.user_data_secret).toBeNull();
    expect((await bench.center.secrets.open(bench.room.database, secret as SecretRef, one)).revealText()).toBe(USER_DATA);
    await expect(bench.center.secrets.open(bench.room.database, secret as SecretRef, other)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is kept for another try of a machine whose making has failed, and goes with it', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'again');
    await requests.retry(access, operationId);
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await told(id)).toBe(USER_DATA);
    await remove(id);
    const second = await failed(project, 'never');
    await remove(second.id);
    expect(await bench.left(project.projectId)).toEqual([]);
  });

  it('of an older version is used as it is, sealed in time, and used then', async () => {
    const { database } = bench.room;
    const project = await bench.freshProject();
    const plain = await failed(project, 'plain');
    const later = await failed(project, 'later');
    const none = await bench.running(project, 'none');
    await database.transaction(async (transaction) => {
      for (const { id } of [plain, later]) await transaction.execute(asBefore, id, USER_DATA);
    });
    await requests.retry(access, plain.operationId);
    expect(await bench.center.ended(plain.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await told(plain.id)).toBe(USER_DATA);
    expect(await found()).not.toEqual([]);
    const before = await database.first(secretOf, plain.id);
    await seal();
    expect(await found()).toEqual([]);
    expect((await database.first(secretOf, plain.id))?.version).toBe(before?.version);
    expect((await database.first(secretOf, none))?.user_data_secret).toBeNull();
    const kept = await database.first(keptSecrets);
    await seal();
    expect(await database.first(keptSecrets)).toEqual(kept);
    await requests.retry(access, later.operationId);
    expect(await bench.center.ended(later.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await told(later.id)).toBe(USER_DATA);
  });
});
