import { Module } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { MuonError } from '#core';
import { post, startFixture, type FixtureApp } from '../fixture/app.js';
import { TestSocket } from '../fixture/socket.js';
import type { RequestMeter } from '../index.js';

/** Lets everybody spend so much. */
class FixtureMeter implements RequestMeter {
  left = 0;
  charged: number[] = [];

  charge(_principal: object, cost: number): Promise<void> | undefined {
    this.charged.push(cost);
    if (cost > this.left) {
      throw new MuonError('RATE_LIMITED', 'That is too much.', { data: { limit: 500, used: 500, resets: '2026-11-27T00:00:00Z', retryAfterMs: 1500 } });
    }
    this.left -= cost;
    return undefined;
  }
}

const meter = new FixtureMeter();

@Module({ providers: [{ provide: FixtureMeter, useValue: meter }], exports: [FixtureMeter] })
class MeterModule {}

let fixture: FixtureApp;
beforeAll(async () => {
  fixture = await startFixture({ meter: FixtureMeter, meterImports: [MeterModule] });
});
afterAll(() => fixture.app.close());
beforeEach(() => {
  meter.left = 500;
  meter.charged = [];
});

test('each request is charged once, by its fields, and mutations more', async () => {
  await post(fixture.url, '{ whoAmI }', { token: 'ann' });
  await post(fixture.url, '{ books(first: 10) { nodes { id title } } }', { token: 'ann' });
  await post(fixture.url, 'mutation { addBook(input: { title: "x" }) { book { title } } }', { token: 'ann' });
  const [query = 0, list = 0, mutation = 0] = meter.charged;
  expect(meter.charged).toHaveLength(3);
  expect(query).toBe(11);
  expect(list).toBeGreaterThan(query + 20);
  expect(mutation).toBe(103);
});

test('a request that is too much is refused as a whole, with the time to wait', async () => {
  meter.left = 0;
  const { status, headers, body } = await post(fixture.url, '{ whoAmI }', { token: 'ann' });
  expect(status).toBe(429);
  expect(headers.get('retry-after')).toBe('2');
  expect(body).toEqual({ errors: [expect.objectContaining({ message: 'That is too much.' })] });
  expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryable: true, data: { limit: 500, used: 500, retryAfterMs: 1500 } });
});

test('who has not signed in is not charged', async () => {
  meter.left = 0;
  expect((await post(fixture.url, '{ hello }')).body).toEqual({ data: { hello: 'hello' } });
  expect(meter.charged).toEqual([]);
});

test('what is refused for another reason costs nothing', async () => {
  await post(fixture.url, '{ nonsense }', { token: 'ann' });
  await post(fixture.url, '{ whoAmI }', { token: 'wrong' });
  expect(meter.charged).toEqual([]);
});

test('each event of a subscription is charged by its fields, and one that is too much ends it, with the time to wait', async () => {
  const socket = await TestSocket.signIn(fixture.socketUrl, 'ann');
  socket.subscribe('1', 'subscription { loads }');
  await socket.next(({ type }) => type === 'complete');
  expect(meter.charged).toEqual([11, 1, 1]);
  meter.left = 12;
  socket.subscribe('2', 'subscription { loads }');
  const { payload } = await socket.next(({ type, id }) => type === 'error' && id === '2');
  expect(payload).toMatchObject([{ message: 'That is too much.', extensions: { code: 'RATE_LIMITED', data: { retryAfterMs: 1500 } } }]);
  expect(socket.messages.filter(({ type, id }) => type === 'next' && id === '2')).toHaveLength(1);
  socket.close();
  await socket.closed;
});

test('operations of a socket are charged, subscriptions when they begin', async () => {
  const socket = await TestSocket.signIn(fixture.socketUrl, 'ann');
  expect(await socket.ask('1', '{ whoAmI }')).toEqual({ data: { whoAmI: 'ann ' } });
  meter.left = 0;
  socket.subscribe('2', 'subscription { ticks }');
  const { payload } = await socket.next(({ type }) => type === 'error');
  expect(payload).toMatchObject([{ extensions: { code: 'RATE_LIMITED', data: { retryAfterMs: 1500 } } }]);
  expect(meter.charged).toEqual([11, 11]);
  socket.close();
  await socket.closed;
});
