import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { ClosedError, LimitError, OvsdbError, ProtocolError, RefusedError, TimeoutError, UnavailableError } from '../errors.js';
import { parseJson, type Json, type JsonObject } from './json.js';
import { MessageFramer } from './message-framer.js';
import { RpcSession, type SessionLimits } from './rpc-session.js';

const limits: SessionLimits = { maxMessageBytes: 10_000, maxOutgoingBytes: 100_000, keepAliveMs: 60_000, keepAliveTimeoutMs: 60_000 };

/** The other side, written by hand; it says what a test wants it to say. */
let listening: Server;
let peer: Socket;
let session: RpcSession;
let ended: Promise<OvsdbError>;
const notifications: [string, readonly Json[]][] = [];

async function begin(changed: Partial<SessionLimits> = {}): Promise<void> {
  listening = createServer().listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const socket = connect((listening.address() as AddressInfo).port, '127.0.0.1');
  [peer] = (await once(listening, 'connection')) as [Socket];
  peer.on('error', () => undefined);
  session = new RpcSession(socket, { ...limits, ...changed }, (method, params) => notifications.push([method, params]));
  ended = new Promise((resolve) => session.onEnd(resolve));
}

beforeEach(() => {
  notifications.length = 0;
});
afterEach(async () => {
  session.end(new ClosedError('the test is over'));
  peer.destroy();
  listening.close();
  await once(listening, 'close');
});

/** The next so many messages that come to the other side. */
async function heard(count: number): Promise<JsonObject[]> {
  const framer = new MessageFramer(1_000_000);
  const messages: JsonObject[] = [];
  while (messages.length < count) {
    const [chunk] = (await once(peer, 'data')) as [Buffer];
    messages.push(...framer.push(chunk).map((text) => parseJson(text) as JsonObject));
  }
  return messages;
}

const say = (...messages: object[]): void => void peer.write(messages.map((message) => JSON.stringify(message)).join(''));
const call = (method: string, options: { timeoutMs?: number; signal?: AbortSignal; isTransaction?: boolean } = {}): Promise<Json> =>
  session.call(method, [1], { timeoutMs: 10_000, decode: (result) => result, ...options });

describe('calls', () => {
  beforeEach(() => begin());

  it('are answered in any order', async () => {
    const calls = [call('one'), call('two')];
    const [one, two] = await heard(2);
    expect(one).toEqual({ method: 'one', params: [1], id: one?.['id'] });
    say({ id: two?.['id'], result: 'second', error: null }, { id: one?.['id'], result: 'first', error: null });
    expect(await Promise.all(calls)).toEqual(['first', 'second']);
  });

  test.each([
    ['a word', 'unknown method', { error: 'unknown method', details: undefined }],
    ['an object', { error: 'unknown database', details: 'no X' }, { error: 'unknown database', details: 'no X' }],
  ])('reject with an error that is %s', async (_what, error, expected) => {
    const calling = call('one');
    const [{ id } = {}] = await heard(1);
    say({ id, error });
    const refusal = await calling.catch((reason: unknown) => reason);
    expect(refusal).toBeInstanceOf(RefusedError);
    expect(refusal).toMatchObject({ method: 'one', ...expected });
    expect(session.isOpen).toBe(true);
  });

  it('reject after their time, and a late answer does no harm', async () => {
    const calling = call('slow', { timeoutMs: 20 });
    const [{ id } = {}] = await heard(1);
    await expect(calling).rejects.toThrow(new TimeoutError('slow was not answered within 20 ms'));
    say({ id, result: 1, error: null });
    const next = call('next');
    const [{ id: nextId } = {}] = await heard(1);
    say({ id: nextId, result: 2, error: null });
    expect(await next).toBe(2);
  });

  it('that are given up are canceled on the other side', async () => {
    const abort = new AbortController();
    const calling = call('slow', { signal: abort.signal, isTransaction: true });
    const [{ id } = {}] = await heard(1);
    abort.abort(new Error('not needed'));
    await expect(calling).rejects.toThrow('not needed');
    expect(await heard(1)).toEqual([{ method: 'cancel', params: [id], id: null }]);
  });

  it('see what they decode before the next message is looked at', async () => {
    const order: string[] = [];
    const calling = session.call('one', [], { timeoutMs: 10_000, decode: () => void order.push('answer') });
    const [{ id } = {}] = await heard(1);
    say({ id, result: {}, error: null }, { method: 'update', params: ['m', {}], id: null });
    await calling;
    expect([...order, ...notifications.map(([method]) => method)]).toEqual(['answer', 'update']);
  });

  it('all reject when the connection is lost, after whoever listens for its end', async () => {
    const order: string[] = [];
    session.onEnd(() => order.push('end'));
    const calls = [call('one'), call('two')].map((calling) => calling.catch(() => order.push('call')));
    await heard(2);
    peer.destroy();
    await Promise.all(calls);
    expect(order).toEqual(['end', 'call', 'call']);
    expect(await ended).toBeInstanceOf(UnavailableError);
    await expect(call('three')).rejects.toThrow(UnavailableError);
  });
});

describe('a session that is retired', () => {
  beforeEach(() => begin());
  const reason = new UnavailableError('of no use');

  it('waits for the answers to transactions only, hears nothing more, and then ends', async () => {
    const order: string[] = [];
    session.onEnd(() => order.push('end'));
    const transaction = call('transact', { isTransaction: true });
    const other = call('other').catch(() => order.push('other'));
    const [{ id } = {}] = await heard(2);
    session.retire(reason);
    await other;
    expect([session.isOpen, order]).toEqual([false, ['end', 'other']]);
    await expect(call('next')).rejects.toBe(reason);
    say({ method: 'update', params: ['m', {}], id: null }, { id, result: 'done', error: null });
    expect(await transaction).toBe('done');
    expect(notifications).toEqual([]);
    await session.closed;
  });

  it('ends at once when nothing is under way', async () => {
    session.retire(reason);
    await session.closed;
  });

  it('ends when the time of its transactions is over, or the connection', async () => {
    const late = call('transact', { isTransaction: true, timeoutMs: 20 });
    session.retire(reason);
    await expect(late).rejects.toThrow(TimeoutError);
    await session.closed;
  });
});

test('an echo is answered with what it holds, and other requests with an error', async () => {
  await begin();
  peer.write('{"method":"echo","params":["€",1,9223372036854775807],"id":"e"}{"method":"shout","params":[],"id":7}');
  expect(await heard(2)).toEqual([
    { id: 'e', result: ['€', 1, 9223372036854775807n], error: null },
    { id: 7, result: null, error: 'unknown method' },
  ]);
});

describe('the keep-alive', () => {
  it('ends the session when the other side says nothing', async () => {
    await begin({ keepAliveMs: 20, keepAliveTimeoutMs: 30 });
    expect(await heard(1)).toEqual([{ method: 'echo', params: [], id: 'keep-alive' }]);
    expect(await ended).toEqual(new UnavailableError('the server did not answer an echo within 30 ms'));
  });

  it('is content with answers', async () => {
    await begin({ keepAliveMs: 10, keepAliveTimeoutMs: 5_000 });
    for (let round = 0; round < 3; round += 1) {
      const [{ id } = {}] = await heard(1);
      say({ id, result: [], error: null });
    }
    expect(session.isOpen).toBe(true);
  });
});

test.each([
  ['garbage', 'hello', ProtocolError],
  ['what is not JSON', '{"a" 1}', ProtocolError],
  ['a notification without params', '{"method":"update","id":null}', ProtocolError],
  ['a message that is too long', `{"a":"${'x'.repeat(10_000)}"}`, LimitError],
] as const)('%s ends the session', async (_what, text, reason) => {
  await begin();
  const calling = call('one');
  await heard(1);
  peer.write(text);
  await expect(calling).rejects.toThrow(reason);
  expect(await ended).toBeInstanceOf(reason);
});

test('an answer that cannot be decoded ends the session', async () => {
  await begin();
  const decode = (): never => {
    throw new ProtocolError('not what was asked for');
  };
  const calling = session.call('one', [], { timeoutMs: 10_000, decode });
  const [{ id } = {}] = await heard(1);
  say({ id, result: 1, error: null });
  await expect(calling).rejects.toThrow('not what was asked for');
  expect(await ended).toBeInstanceOf(ProtocolError);
});

test('more than may wait to be sent is refused, and nothing of it is sent', async () => {
  await begin({ maxOutgoingBytes: 100 });
  const tooMuch = session.call('one', ['x'.repeat(100)], { timeoutMs: 10_000, decode: () => undefined });
  await expect(tooMuch).rejects.toThrow(LimitError);
  const second = call('two');
  const [{ id, method } = {}] = await heard(1);
  expect(method).toBe('two');
  say({ id, result: 1, error: null });
  expect(await second).toBe(1);
});

test('a peer that asks for echoes and never reads does not fill the memory', async () => {
  await begin({ maxOutgoingBytes: 20_000 });
  peer.pause();
  const echo = JSON.stringify({ method: 'echo', params: ['x'.repeat(9_000)], id: 'e' });
  peer.on('error', () => undefined);
  const flood = (): void => {
    while (session.isOpen && peer.writable && peer.write(echo));
  };
  peer.on('drain', flood);
  flood();
  expect(await ended).toEqual(new UnavailableError('the server does not take the answers to its requests'));
});
