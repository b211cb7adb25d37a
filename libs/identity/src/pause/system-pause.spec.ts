import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ChangeSet } from '#database';
import { SystemPause } from '#identity';
import { accessWith, identityBench, newTenant, type IdentityBench, type IdentityServices } from '#testing';

const PATIENCE_MS = 10_000;

describe('a pause of the system', () => {
  let bench: IdentityBench;
  let services: [IdentityServices, IdentityServices];
  let pauses: [SystemPause, SystemPause];
  let accounts = 0;

  beforeAll(async () => {
    bench = await identityBench();
    const other = await bench.another();
    services = [bench.services, bench.servicesOf(other)];
    pauses = [new SystemPause(bench.database), new SystemPause(other)];
  });
  afterAll(() => bench.close());

  const change = (process: IdentityServices): Promise<unknown> => {
    accounts += 1;
    return process.principals.createServiceAccount(bench.system, { name: `robot-${accounts}` });
  };
  const everywhere = (check: (process: IdentityServices) => Promise<unknown>): Promise<unknown> =>
    Promise.all(services.map((process) => vi.waitFor(() => check(process), { timeout: PATIENCE_MS, interval: 50 })));
  const refused = (process: IdentityServices, message: string): Promise<unknown> =>
    expect(change(process)).rejects.toMatchObject({
      code: 'SYSTEM_PAUSED',
      fault: 'OPERATOR',
      retryable: true,
      message: `Nothing can be changed now: ${message}`,
      data: { message, since: expect.any(String) as string },
    });

  it('refuses mutations on every process with its message, and lets them go on when it ends', async () => {
    await Promise.all(services.map((process) => change(process)));
    await bench.services.pauses.pause(bench.system, { mutations: true, message: 'Back at 14:00.' });
    await everywhere((process) => refused(process, 'Back at 14:00.'));
    expect(await Promise.all(pauses.map((pause) => pause.mayOperate()))).toEqual([true, true]);
    await services[1].pauses.pause(bench.system, { mutations: true, operations: true, message: 'Back at 15:00.' });
    await everywhere((process) => refused(process, 'Back at 15:00.'));
    await expect.poll(async () => Promise.all(pauses.map((pause) => pause.mayOperate()))).toEqual([false, false]);
    await services[1].pauses.resume(bench.system);
    await everywhere((process) => change(process));
    await expect.poll(async () => Promise.all(pauses.map((pause) => pause.mayOperate()))).toEqual([true, true]);
    await services[0].pauses.resume(bench.system);
  });

  it('refuses before anything outside is asked', async () => {
    await bench.services.pauses.pause(bench.system, { mutations: true, message: 'x' });
    let asked = 0;
    const command = { access: bench.system, name: 'spec', input: {}, place: { tenantId: null, projectId: null } };
    const prepared = (): Promise<unknown> => bench.commands.runPrepared(command, async () => (asked += 1), async () => new ChangeSet());
    await vi.waitFor(() => expect(prepared()).rejects.toMatchObject({ code: 'SYSTEM_PAUSED' }), PATIENCE_MS);
    asked = 0;
    await expect(prepared()).rejects.toMatchObject({ code: 'SYSTEM_PAUSED' });
    expect(asked).toBe(0);
    await bench.services.pauses.resume(bench.system);
    await vi.waitFor(() => prepared(), PATIENCE_MS);
  });

  it('refuses dry runs, too, and what is applied by a plan of before', async () => {
    const { plan } = await bench.services.principals.createServiceAccount(bench.system, { name: 'planned' }, { dryRun: true });
    await bench.services.pauses.pause(bench.system, { mutations: true, message: 'x' });
    const paused = { code: 'SYSTEM_PAUSED' };
    await everywhere((process) => expect(change(process)).rejects.toMatchObject(paused));
    await expect(bench.services.principals.createServiceAccount(bench.system, { name: 'dry' }, { dryRun: true })).rejects.toMatchObject(paused);
    // A runner of its own, which has to hear of it as well; a plan that is none tells when it has.
    const heard = (code: string): Promise<void> => vi.waitFor(() => expect(bench.commands.applyPlan(bench.system, 'none')).rejects.toMatchObject({ code }), PATIENCE_MS);
    await heard('SYSTEM_PAUSED');
    await expect(bench.commands.applyPlan(bench.system, plan?.id ?? '')).rejects.toMatchObject(paused);
    await bench.services.pauses.resume(bench.system);
    await everywhere((process) => change(process));
    await heard('NOT_FOUND');
    await bench.commands.applyPlan(bench.system, plan?.id ?? '');
  });

  it('is for owners of the system alone', async () => {
    const tenant = await newTenant(bench.database);
    for (const access of [accessWith([]), accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]), accessWith([{ role: 'CONTRIBUTOR', tenantId: null, projectId: null }])]) {
      await expect(bench.services.pauses.pause(access, { mutations: true, message: 'x' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
      await expect(bench.services.pauses.resume(access)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
  });

  it.each([
    [{ message: 'x' }, 'input.mutations'],
    [{ mutations: true, message: ' ' }, 'input.message'],
    [{ mutations: true, message: 'x'.repeat(501) }, 'input.message'],
  ])('says what, and why: %j', async (input, field) => {
    await expect(bench.services.pauses.pause(bench.system, input)).rejects.toMatchObject({ code: 'INVALID_INPUT', field });
  });

  it('has one author: two at once never both believe it', async () => {
    const outcomes = await Promise.allSettled(services.map((process, index) => process.pauses.pause(bench.system, { operations: true, message: `by ${index}` })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CONFLICT' });
    await bench.services.pauses.resume(bench.system);
  });
});
