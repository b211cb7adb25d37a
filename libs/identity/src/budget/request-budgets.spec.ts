import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventsRoom } from '#events';
import { identityRoom, RequestBudgets } from '#identity';
import { scopesRoom } from '#scopes';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
let subjects = 0;
let principalId: string;
let tenantId: string;

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
});
afterAll(() => room.close());
beforeEach(async () => {
  subjects += 1;
  [principalId, tenantId] = [`pri_${subjects}`, `ten_${subjects}`];
  // A minute that turns in the middle of a test would give a second budget.
  const [row] = await room.database.dataSource.query<{ left: number }[]>('SELECT 60 - extract(second FROM clock_timestamp())::float AS left');
  if ((row?.left ?? 60) < 5) await new Promise((resolve) => setTimeout(resolve, (row?.left ?? 0) * 1000 + 50));
});

const process = async (principal: number, tenant = 1_000_000): Promise<RequestBudgets> => new RequestBudgets(await room.another(), { principal, tenant });

/** How many of so many requests at once are let in. */
async function admitted(processes: RequestBudgets[], requests: number, cost: number, subject = { principalId, tenantId: null as string | null }): Promise<number> {
  const charge = async (index: number): Promise<void> => processes[index % processes.length]?.charge(subject, cost);
  const outcomes = await Promise.allSettled(Array.from({ length: requests }, (_, index) => charge(index)));
  for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'RATE_LIMITED' });
  return outcomes.filter(({ status }) => status === 'fulfilled').length;
}

describe('the budget of requests', () => {
  it('admits what it holds and no more, whichever of three processes is asked', async () => {
    const processes = [await process(10_000), await process(10_000), await process(10_000)];
    const first = await admitted(processes, 600, 30);
    expect(first).toBeLessThanOrEqual(333);
    // What a process holds and cannot use is a hundredth at most, and less than one more request here.
    expect(first).toBeGreaterThanOrEqual(333 - 3 * 4);
    expect(await admitted(processes, 50, 30)).toBeLessThanOrEqual(333 - first);
  });

  it('says what is allowed, what is used and when there is more', async () => {
    const budgets = await process(1000);
    await budgets.charge({ principalId, tenantId: null }, 990);
    const refusal = await Promise.resolve()
      .then(() => budgets.charge({ principalId, tenantId: null }, 20))
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: 'RATE_LIMITED',
      retryable: true,
      data: { limit: 1000, used: 990, windowSeconds: 60, subject: principalId, retryAfterMs: expect.any(Number) as number, resets: expect.any(String) as string },
    });
    const { data } = refusal as { data: { retryAfterMs: number; resets: string } };
    expect(data.retryAfterMs).toBeLessThanOrEqual(60_000);
    expect(Date.parse(data.resets)).toBeGreaterThan(Date.now());
    // What still fits is let in.
    await budgets.charge({ principalId, tenantId: null }, 10);
  });

  it('holds for all principals of a tenant together, and what the tenant refuses its principal has not spent', async () => {
    const budgets = await process(10_000, 10_000);
    const other = { principalId: `${principalId}b`, tenantId };
    expect(await admitted([budgets], 9, 1000, other)).toBe(9);
    expect(await admitted([budgets], 5, 1000, { principalId, tenantId })).toBe(1);
    expect(await admitted([budgets], 9, 1000)).toBe(9);
    expect(await admitted([budgets], 1, 1000)).toBe(0);
  });

  it('costs a statement now and then, not each request', async () => {
    const budgets = await process(1_000_000);
    for (let request = 0; request < 1000; request += 1) await budgets.charge({ principalId, tenantId }, 100);
    const rows = await room.database.dataSource.query<Record<string, number>[]>('SELECT leased, last_lease FROM request_budget WHERE subject = ANY($1)', [[principalId, tenantId]]);
    // Ten leases of a hundredth each.
    expect(rows).toEqual(Array(2).fill({ leased: 100_000, last_lease: 10_000 }));
  });

  it('is whole again in the next minute', async () => {
    const budgets = await process(1000);
    await budgets.charge({ principalId, tenantId: null }, 1000);
    await room.database.dataSource.query(`UPDATE request_budget SET window_start = window_start - interval '1 minute' WHERE subject = $1`, [principalId]);
    // Another process, which has not seen that nothing was left.
    await (await process(1000)).charge({ principalId, tenantId: null }, 1000);
  });

  it('is forgotten when nobody has come for an hour', async () => {
    const budgets = await process(1000);
    await budgets.charge({ principalId, tenantId: null }, 1);
    await room.database.dataSource.query(`UPDATE request_budget SET window_start = now() - interval '2 hours' WHERE subject = $1`, [principalId]);
    expect(await budgets.prune()).toBe(1);
    expect(await budgets.prune()).toBe(0);
  });
});
