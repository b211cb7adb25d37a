import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { createLogger } from '#core';
import type { Authentication } from '../context.js';
import { SocketConnection } from './connection.js';
import { CredentialWatch } from './credential-watch.js';

/** As much of a socket as the watch sees. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  pings = 0;
  closed: number | undefined;
  isTerminated = false;
  ping(): void {
    this.pings += 1;
  }
  close(code: number): void {
    this.closed = code;
    this.readyState = 2;
  }
  terminate(): void {
    this.isTerminated = true;
    this.emit('close');
  }
}

let findInvalid: () => Promise<Authentication[]>;
let watch: CredentialWatch;
beforeEach(() => {
  vi.useFakeTimers();
  findInvalid = async () => [];
  const authenticator = { authenticate: async () => ({}), findInvalid: () => findInvalid() };
  watch = new CredentialWatch(authenticator, createLogger('watch', 'silent'));
});
afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

function add(principal: object = {}): FakeSocket {
  const socket = new FakeSocket();
  const connection = new SocketConnection(socket as unknown as WebSocket, 1000);
  connection.authentication = { principal };
  watch.add(connection);
  return socket;
}

test('a client that no longer answers is found by a ping and cut off', async () => {
  const [dead, alive] = [add(), add()];
  await vi.advanceTimersByTimeAsync(12_500);
  expect([dead.pings, alive.pings]).toEqual([1, 1]);
  alive.emit('pong');
  await vi.advanceTimersByTimeAsync(12_000);
  expect([dead.isTerminated, alive.isTerminated]).toEqual([true, false]);
});

test('sockets live through half a minute in which credentials cannot be checked, and not longer', async () => {
  const socket = add();
  findInvalid = async () => {
    throw new Error('away');
  };
  const pong = setInterval(() => socket.emit('pong'), 1000);
  await vi.advanceTimersByTimeAsync(29_000);
  expect(socket.closed).toBeUndefined();
  await vi.advanceTimersByTimeAsync(5000);
  expect(socket.closed).toBe(1013);
  clearInterval(pong);
});

test('a check that hangs does not hold up expiry, and counts as failed', async () => {
  const socket = add();
  findInvalid = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(2000);
  const late = new FakeSocket();
  const connection = new SocketConnection(late as unknown as WebSocket, 1000);
  connection.authentication = { principal: {}, expiresAt: new Date(Date.now() + 500) };
  watch.add(connection);
  await vi.advanceTimersByTimeAsync(1500);
  expect(late.closed).toBe(4403);
  expect(socket.closed).toBeUndefined();
});

test('all sockets of one principal end, though one of them alone is found', async () => {
  const principal = {};
  const [one, two, other] = [add(principal), add(principal), add()];
  findInvalid = async () => [{ principal }];
  await vi.advanceTimersByTimeAsync(1000);
  expect([one.closed, two.closed, other.closed]).toEqual([4403, 4403, undefined]);
});

test('no timer runs while no socket is open', async () => {
  const socket = add();
  expect(vi.getTimerCount()).toBe(1);
  socket.terminate();
  expect(vi.getTimerCount()).toBe(0);
});
