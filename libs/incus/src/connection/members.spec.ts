import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { IncusClient, type EventStream } from '#incus';

/** Members of one cluster, which answer as a test tells them to; hosts that die under a real one are in test/lab. */
const NAMES = ['h1', 'h2', 'h3'] as const;
const PATIENCE = { probeIntervalMs: 20, probeTimeoutMs: 40 };

interface Member {
  name: string;
  server: Server;
  /** Requests but for signs of life. */
  seen: string[];
  answer: (response: ServerResponse) => void;
}

let folder: string;
let members: Member[];
let incus: IncusClient;

const sync =
  (metadata: unknown) =>
  (response: ServerResponse): void =>
    void response.end(JSON.stringify({ type: 'sync', status_code: 200, metadata }));
const failed =
  (status: number, error: string) =>
  (response: ServerResponse): void => {
    response.statusCode = status;
    response.end(JSON.stringify({ type: 'error', error, error_code: status }));
  };
const silent = (): void => undefined;
const socketPath = (name: string): string => join(folder, name);
const listen = async ({ server, name }: Member): Promise<void> => new Promise((resolve) => server.listen(socketPath(name), resolve));
const off = async ({ server }: Member): Promise<void> => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
};
const [first, second, third] = [0, 1, 2].map((index) => (): Member => members[index] as Member) as [() => Member, () => Member, () => Member];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'incus-'));
  members = NAMES.map((name) => {
    const member: Member = { name, seen: [], answer: sync([{ name }]), server: createServer() };
    member.server.on('request', (request, response: ServerResponse) => {
      if (request.url !== '/1.0') member.seen.push(`${request.method} ${request.url}`);
      request.resume().once('end', () => member.answer(response));
    });
    return member;
  });
  for (const member of members) await listen(member);
  incus = new IncusClient({ endpoints: NAMES.map((name) => ({ socketPath: socketPath(name) })), patience: PATIENCE });
});

afterEach(async () => {
  incus.close();
  for (const member of members) if (member.server.listening) await off(member);
  await rm(folder, { recursive: true, force: true });
});

test('one is asked as long as it answers', async () => {
  await incus.instances.list();
  await incus.instances.list();
  expect(members.map(({ seen }) => seen.length)).toEqual([2, 0, 0]);
});

test('where one is off the next is asked, for changes too, and is asked from then on', async () => {
  await off(first());
  await off(second());
  expect(await incus.instances.list()).toEqual([{ name: 'h3' }]);
  await listen(first());
  const creation = await incus.instances.create({ name: 'web', source: { type: 'none' } });
  expect(creation.id).toBeUndefined();
  expect([first().seen, third().seen.length]).toEqual([[], 2]);
});

test('a creation that reached none of them says that it was not sent', async () => {
  for (const member of members) await off(member);
  const creation = incus.instances.create({ name: 'web', source: { type: 'none' } });
  await expect(creation).rejects.toMatchObject({ kind: 'UNAVAILABLE', neverSent: true, outcomeUnknown: false });
});

test('who takes connections and answers nobody is left, and whoever waits for it hears so', async () => {
  first().answer = silent;
  const creation = incus.instances.create({ name: 'web', source: { type: 'none' } });
  const list = incus.instances.list();
  // It may have been made: nobody else is asked to make it again.
  await expect(creation).rejects.toMatchObject({ kind: 'UNAVAILABLE', outcomeUnknown: true });
  expect(await list).toEqual([{ name: 'h2' }]);
  expect(second().seen).toHaveLength(1);
});

test('who is slow but alive is waited for', async () => {
  // Longer than it takes to find one silent.
  first().answer = (response) => void setTimeout(() => sync([{ name: 'late' }])(response), response.req.url === '/1.0' ? 0 : 300);
  expect(await incus.instances.list()).toEqual([{ name: 'late' }]);
  expect(second().seen).toEqual([]);
});

test('who has no leader of the database says so, and the next time another is asked', async () => {
  first().answer = failed(500, 'Failed to begin transaction: no available cowsql leader server found');
  await expect(incus.instances.list()).rejects.toMatchObject({ kind: 'UNAVAILABLE' });
  expect(await incus.instances.list()).toEqual([{ name: 'h2' }]);
});

describe('events', () => {
  let heard: string[];
  let sockets: WebSocketServer[];
  let stream: EventStream;

  beforeEach(async () => {
    heard = [];
    sockets = members.slice(0, 2).map(({ server, name }) => {
      const each = new WebSocketServer({ server });
      each.on('connection', () => heard.push(name));
      return each;
    });
    stream = incus.listen({ onConnected: () => undefined, onEvent: () => undefined });
    await expect.poll(() => heard).toEqual(['h1']);
  });
  afterEach(async () => {
    await stream.close();
    for (const each of sockets) each.close();
  });

  test('go on with another member', async () => {
    for (const socket of sockets[0]?.clients ?? []) socket.terminate();
    await off(first());
    await expect.poll(() => heard).toEqual(['h1', 'h2']);
  });

  test('of a member that has fallen silent are not waited for once a request has found that', async () => {
    first().answer = silent;
    await incus.instances.list();
    await expect.poll(() => heard).toEqual(['h1', 'h2']);
  });

  test('are not heard from one who may be cut off from the others', async () => {
    first().answer = failed(500, 'Failed to begin transaction: no available cowsql leader server found');
    await expect(incus.instances.list()).rejects.toMatchObject({ kind: 'UNAVAILABLE' });
    await expect.poll(() => heard).toEqual(['h1', 'h2']);
  });
});
