import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { post, startFixture, type FixtureApp } from '../fixture/app.js';
import { seen } from '../fixture/resolvers.js';
import { TestSocket } from '../fixture/socket.js';

const PATIENCE_MS = 10_000;

let fixture: FixtureApp;
const sockets: TestSocket[] = [];
beforeAll(async () => {
  fixture = await startFixture({ limits: { subscriptionsPerSocket: 5, sockets: 20 } });
});
afterAll(() => fixture.app.close());
beforeEach(() => {
  seen.contexts.length = 0;
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) {
    socket.close();
    await socket.closed;
  }
  fixture.authenticator.revoked.clear();
  fixture.authenticator.isBroken = false;
  await expect.poll(() => seen.queues.size).toBe(0);
});

async function open(...args: Parameters<typeof TestSocket.open> extends [string, ...infer Rest] ? Rest : never): Promise<TestSocket> {
  const socket = await TestSocket.open(fixture.socketUrl, ...args);
  sockets.push(socket);
  return socket;
}

async function signIn(token = 'ann'): Promise<TestSocket> {
  const socket = await TestSocket.signIn(fixture.socketUrl, token);
  sockets.push(socket);
  return socket;
}

/** The queue of the one subscription that runs, once it does. */
async function onlyQueue(): Promise<{ push: (event: number) => boolean }> {
  return vi.waitFor(() => {
    expect(seen.queues.size).toBe(1);
    return [...seen.queues][0] as { push: (event: number) => boolean };
  }, PATIENCE_MS);
}

describe('close codes', () => {
  const init = { type: 'connection_init', payload: { authorization: 'Bearer ann' } };
  const subscribe = (id: string): object => ({ type: 'subscribe', id, payload: { query: 'subscription { ticks }' } });

  test.each<[number, string, unknown[]]>([
    [4400, 'a message that is none', [init, 'nonsense']],
    [4400, 'a message of an unknown type', [init, { type: 'dance' }]],
    [4400, 'a query that is no text', [init, { type: 'subscribe', id: '1', payload: { query: 7 } }]],
    [4401, 'an operation before signing in', [subscribe('1')]],
    [4403, 'no credential', [{ type: 'connection_init' }]],
    [4403, 'a wrong credential', [{ type: 'connection_init', payload: { authorization: 'Bearer wrong' } }]],
    [4403, 'a credential that is no text', [{ type: 'connection_init', payload: { authorization: { a: 1 } } }]],
    [1013, 'an authenticator that is busy', [{ type: 'connection_init', payload: { authorization: 'Bearer busy' } }]],
    [4409, 'an id in use', [init, subscribe('1'), subscribe('1')]],
    [4429, 'signing in twice', [init, init]],
  ])('%i for %s', async (code, _what, messages) => {
    const socket = await open();
    for (const [index, message] of messages.entries()) {
      if (index === 1) await socket.next(({ type }) => type === 'connection_ack');
      socket.send(message);
    }
    expect((await socket.closed).code).toBe(code);
  });

  test('4406 for another protocol', async () => {
    const socket = new (await import('ws')).WebSocket(fixture.socketUrl);
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(4406);
  });

  test('4408 for silence', async () => {
    const socket = await open();
    const start = Date.now();
    expect((await socket.closed).code).toBe(4408);
    expect(Date.now() - start).toBeLessThan(4000);
  });

  test('the reason of a refusal names the code of the error, and nothing that is ours', async () => {
    const socket = await open();
    socket.send({ type: 'connection_init', payload: { authorization: 'Bearer wrong' } });
    expect((await socket.closed).reason).toBe('UNAUTHENTICATED: This credential is not valid.');
  });
});

describe('operations', () => {
  test('queries and mutations run as over HTTP', async () => {
    const socket = await signIn();
    expect(await socket.ask('1', '{ whoAmI }')).toEqual({ data: { whoAmI: 'ann ' } });
    expect(await socket.ask('2', 'mutation { addBook(input: { title: "x" }) { book { title } } }')).toEqual({ data: { addBook: { book: { title: 'x' } } } });
    await socket.next(({ type, id }) => type === 'complete' && id === '2');
  });

  test('the header of the upgrade signs in too', async () => {
    const socket = await open('graphql-transport-ws', { authorization: 'Bearer bob' });
    socket.send({ type: 'connection_init' });
    await socket.next(({ type }) => type === 'connection_ack');
    expect(await socket.ask('1', '{ whoAmI }')).toEqual({ data: { whoAmI: 'bob ' } });
  });

  test('two callers, and two operations of one, never share a context', async () => {
    const [ann, bob] = [await signIn('ann'), await signIn('bob')];
    const answers = await Promise.all([ann.ask('1', '{ whoAmI }'), bob.ask('1', '{ whoAmI }'), ann.ask('2', '{ whoAmI }')]);
    expect(answers.map((answer) => (answer as { data: { whoAmI: string } }).data.whoAmI)).toEqual(['ann ', 'bob ', 'ann ']);
    expect(new Set(seen.contexts.map(({ requestId }) => requestId)).size).toBe(3);
  });

  test.each([
    ['an unknown field', '{ nonsense }', 'GRAPHQL_VALIDATION'],
    ['half a document', '{ hello', 'GRAPHQL_SYNTAX'],
    ['an unknown subscription', 'subscription { nonsense }', 'GRAPHQL_VALIDATION'],
    ['too many tokens', `subscription { ${'ticks '.repeat(2000)} }`, 'LIMIT_EXCEEDED'],
    ['a missing variable', 'query A($x: Int!) { nothing(required: $x) }', 'INVALID_INPUT'],
    ['two subscriptions in one', 'subscription { ticks even }', 'GRAPHQL_VALIDATION'],
  ])('an operation that cannot run ends with errors: %s', async (_what, query, code) => {
    const socket = await signIn();
    socket.subscribe('1', query);
    const { type, payload } = await socket.next(({ id }) => id === '1');
    expect(type).toBe('error');
    expect(payload).toMatchObject([{ extensions: { code, fault: 'USER', requestId: expect.any(String) as string } }]);
  });

  test('errors of fields are mapped', async () => {
    const socket = await signIn();
    expect(await socket.ask('1', '{ fail(how: "unknown") }')).toMatchObject({ data: { fail: null }, errors: [{ path: ['fail'], extensions: { code: 'INTERNAL' } }] });
    expect(JSON.stringify(socket.messages)).not.toContain('secrets');
  });

  test('no more run at once than are allowed', async () => {
    const socket = await signIn();
    for (let id = 1; id <= 6; id += 1) socket.subscribe(String(id), 'subscription { ticks }');
    const refused = await socket.next(({ type }) => type === 'error');
    expect(refused.payload).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', data: { limit: 'subscriptionsPerSocket', allowed: 5 } } }]);
    socket.send({ type: 'complete', id: '1' });
    await expect.poll(() => seen.queues.size).toBe(4);
    socket.subscribe('7', 'subscription { ticks }');
    await expect.poll(() => seen.queues.size).toBe(5);
  });
});

describe('subscriptions', () => {
  test('are held back by guards', async () => {
    const [ann, bob] = [await signIn('ann'), await signIn('bob')];
    ann.subscribe('1', 'subscription { forBob }');
    bob.subscribe('1', 'subscription { forBob }');
    expect((await ann.next(({ type }) => type === 'error')).payload).toMatchObject([{ path: ['forBob'], extensions: { code: 'FORBIDDEN' } }]);
    expect((await bob.next(({ type }) => type === 'next')).payload).toEqual({ data: { forBob: 1 } });
  });

  test('deliver what is pushed, and end when the client says so, though nothing more comes', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { ticks }');
    const queue = await onlyQueue();
    queue.push(1);
    queue.push(2);
    await socket.next(({ payload }) => JSON.stringify(payload) === '{"data":{"ticks":2}}');
    expect(seen.contexts[0]?.signal.aborted).toBe(false);
    socket.send({ type: 'complete', id: '1' });
    await expect.poll(() => seen.queues.size).toBe(0);
    expect(seen.contexts[0]?.signal.aborted).toBe(true);
  });

  test('end when the socket goes', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { ticks }');
    socket.subscribe('2', 'subscription { even }');
    await expect.poll(() => seen.queues.size).toBe(2);
    socket.close();
    await expect.poll(() => seen.queues.size).toBe(0);
  });

  test('filter by the event', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { even }');
    const queue = await onlyQueue();
    for (const event of [1, 2, 3, 4]) queue.push(event);
    await socket.next(({ payload }) => JSON.stringify(payload) === '{"data":{"even":4}}');
    expect(socket.messages.filter(({ type }) => type === 'next')).toHaveLength(2);
    socket.send({ type: 'complete', id: '1' });
    await expect.poll(() => seen.queues.size).toBe(0);
  });

  test('end with an error when their filter fails', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { even }');
    (await onlyQueue()).push(13);
    const { payload } = await socket.next(({ type }) => type === 'error');
    expect(payload).toMatchObject([{ extensions: { code: 'INTERNAL' } }]);
    expect(JSON.stringify(payload)).not.toContain('secret');
    await expect.poll(() => seen.queues.size).toBe(0);
  });

  test('load anew for each event', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { loads }');
    await socket.next(({ type }) => type === 'complete');
    const values = socket.messages.filter(({ type }) => type === 'next').map(({ payload }) => (payload as { data: { loads: number } }).data.loads);
    expect(values).toHaveLength(2);
    expect(values[1]).toBe((values[0] ?? 0) + 1);
  });

  test('end with LIMIT_EXCEEDED when more waits than the queue holds', async () => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { ticks }');
    const queue = await onlyQueue();
    let taken = 0;
    while (queue.push(taken)) taken += 1;
    expect(taken).toBeLessThanOrEqual(51);
    const { payload } = await socket.next(({ type }) => type === 'error');
    expect(payload).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', data: { limit: 'waitingEvents', allowed: 50 } } }]);
    expect(await socket.ask('2', '{ whoAmI }')).toEqual({ data: { whoAmI: 'ann ' } });
  });

  test.each([
    ['reads gets every event', true],
    ['does not read stops the flow: what waits is bounded, and the subscription ends', false],
  ])('a client that %s', async (_what, isReading) => {
    const socket = await signIn();
    socket.subscribe('1', 'subscription { texts }');
    const queue = await onlyQueue();
    if (!isReading) (socket.socket as unknown as { _socket: Socket })._socket.pause();
    // 64 KB each: some dozens fill all the buffers of the network.
    let taken = 0;
    while (taken < 400 && queue.push(taken)) {
      taken += 1;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(taken === 400).toBe(isReading);
    expect(seen.queues.size).toBe(isReading ? 1 : 0);
    expect((await post(fixture.url, '{ hello }')).status).toBe(200);
  });
});

describe('credentials', () => {
  test('that expire close their sockets', async () => {
    const socket = await signIn('brief');
    const start = Date.now();
    expect(await socket.closed).toEqual({ code: 4403, reason: 'The credential has expired.' });
    expect(Date.now() - start).toBeLessThan(1500);
  });

  test('that are revoked close their sockets within a second and a half, and no others', async () => {
    const [ann, otherAnn, bob] = [await signIn('ann'), await signIn('ann'), await signIn('bob')];
    ann.subscribe('1', 'subscription { ticks }');
    await onlyQueue();
    fixture.authenticator.revoked.add('ann');
    const start = Date.now();
    const ends = await Promise.all([ann.closed, otherAnn.closed]);
    expect(Date.now() - start).toBeLessThan(1500);
    expect(ends).toEqual(Array(2).fill({ code: 4403, reason: 'The credential is no longer valid.' }));
    await expect.poll(() => seen.queues.size).toBe(0);
    expect(await bob.ask('1', '{ whoAmI }')).toEqual({ data: { whoAmI: 'bob ' } });
  });

  test('a client that ignores the closing is cut off and heard no more', async () => {
    const raw = connect(Number(new URL(fixture.url).port), '127.0.0.1');
    const received: Buffer[] = [];
    raw.on('data', (data) => received.push(data));
    raw.write('GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n');
    await expect.poll(() => Buffer.concat(received).toString()).toContain('101');
    raw.write(frame({ type: 'connection_init', payload: { authorization: 'Bearer eve' } }));
    await expect.poll(() => Buffer.concat(received).toString()).toContain('connection_ack');
    fixture.authenticator.revoked.add('eve');
    await expect.poll(() => Buffer.concat(received).toString()).toContain('no longer valid');
    raw.write(frame({ type: 'subscribe', id: '1', payload: { query: '{ whoAmI }' } }));
    await once(raw, 'close');
    expect(seen.contexts).toEqual([]);
  });

  test('are asked about once a second for all sockets together', async () => {
    await Promise.all(Array.from({ length: 15 }, (_, index) => signIn(`user${index}`)));
    await expect.poll(() => fixture.authenticator.checkedAtOnce).toBe(15);
    const before = fixture.authenticator.checks;
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(fixture.authenticator.checks - before).toBeLessThanOrEqual(3);
  });

  test('that cannot be checked for a moment do not close sockets', async () => {
    const socket = await signIn('ann');
    fixture.authenticator.isBroken = true;
    await expect.poll(() => fixture.log.join('')).toContain('could not be checked');
    expect(await socket.ask('1', '{ whoAmI }')).toEqual({ data: { whoAmI: 'ann ' } });
  });
});

test('a process takes no more sockets than its limit, and takes others when some have gone', async () => {
  const many = await Promise.all(Array.from({ length: 20 }, () => signIn()));
  await expect(TestSocket.open(fixture.socketUrl)).rejects.toThrow('503');
  many[0]?.close();
  await many[0]?.closed;
  await vi.waitFor(() => signIn(), PATIENCE_MS);
});

test('a process that ends sends its clients away at once, with a reason, even those that do not answer', async () => {
  const ending = await startFixture();
  const polite = await TestSocket.signIn(ending.socketUrl, 'ann');
  const rude = await TestSocket.signIn(ending.socketUrl, 'ann');
  (rude.socket as unknown as { _socket: Socket })._socket.pause();
  const start = Date.now();
  const [end] = await Promise.all([polite.closed, ending.app.close()]);
  expect(end).toEqual({ code: 1001, reason: 'The server is going away.' });
  expect(Date.now() - start).toBeLessThan(3000);
  rude.close();
});

test('malformed frames do not hurt the process', async () => {
  const frames: [string, Buffer][] = [
    ['not masked', Buffer.from([0x81, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f])],
    ['reserved bits', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['reserved opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['fragmented ping', Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ['continuation of nothing', Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
    ['invalid text', Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28])],
    ['a length of 2^63', Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['2 MB', Buffer.concat([Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]), Buffer.alloc(2_097_152, 0x20)])],
    ['a bad close code', Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0, 1])],
    ['random bytes', Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 251))],
    ['binary', Buffer.from([0x82, 0x83, 0, 0, 0, 0, 1, 2, 3])],
    ['null', frame(null)],
    ['an array', frame([1, 2])],
    ['a deep object', frameOf(`{"type":"connection_init","payload":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`)],
    ['an id that poisons', frame({ type: 'subscribe', id: '__proto__', payload: { query: '{ hello }' } })],
  ];
  for (const [what, bytes] of frames) {
    const socket = await open();
    (socket.socket as unknown as { _socket: Socket })._socket.write(bytes);
    const ended = await Promise.race([socket.closed.then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 300, false))]);
    if (!ended) socket.close();
    expect({ what, ...(await post(fixture.url, '{ hello }')).body }).toEqual({ what, data: { hello: 'hello' } });
  }
  // Half a handshake, and half a frame.
  for (const text of ['GET /graphql HTTP/1.1\r\nUpgrade: websocket\r\n', 'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\n\r\n']) {
    const raw = connect(Number(new URL(fixture.url).port), '127.0.0.1');
    raw.on('error', () => undefined);
    raw.write(text);
    await new Promise((resolve) => setTimeout(resolve, 50));
    raw.destroy();
  }
  expect((await post(fixture.url, '{ hello }')).body).toEqual({ data: { hello: 'hello' } });
});

/** A message as a client's frame, masked with zeros. */
function frame(message: unknown): Buffer {
  return frameOf(JSON.stringify(message));
}

function frameOf(text: string): Buffer {
  const body = Buffer.from(text);
  const header = body.length < 126 ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]) : Buffer.alloc(14);
  if (body.length >= 126) {
    header.set([0x81, 0xff]);
    header.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([header, body]);
}
