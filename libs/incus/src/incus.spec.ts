import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { IncusClient, type IncusEvent } from '#incus';

/** A server that says what a test tells it to; the real one is spoken to in test/lab. */
type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

interface Seen {
  method: string;
  url: string;
  body: string;
}

let folder: string;
let server: Server;
let incus: IncusClient;
let seen: Seen[];
/** One for each request; the last one for all that follow. */
let answers: Answer[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'incus-'));
  seen = [];
  server = createServer((request, response) => {
    void text(request).then((body) => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', body });
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      answer?.(request, response, body);
    });
  });
  await listen();
  incus = new IncusClient({ endpoints: [{ socketPath: socketPath() }] });
});

afterEach(async () => {
  incus.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

const socketPath = (): string => join(folder, 'socket');
const listen = async (): Promise<void> => new Promise((resolve) => server.listen(socketPath(), resolve));

const sync =
  (metadata: unknown): Answer =>
  (_request, response) =>
    response.end(JSON.stringify({ type: 'sync', status_code: 200, metadata }));
const failed =
  (status: number, message: string): Answer =>
  (_request, response) => {
    response.statusCode = status;
    response.end(JSON.stringify({ type: 'error', error: message, error_code: status }));
  };
const background =
  (id = 'op-1'): Answer =>
  (_request, response) => {
    response.statusCode = 202;
    response.end(JSON.stringify({ type: 'async', operation: `/1.0/operations/${id}?project=default`, metadata: { id, status_code: 103 } }));
  };
const cut: Answer = (request) => request.socket.destroy();
const silent: Answer = () => undefined;
const operation = (code: number, err = ''): Answer => sync({ id: 'op-1', status_code: code, err, description: 'Creating instance', metadata: {} });

test('what remains of somebody’s time is rarely a whole number of milliseconds', async () => {
  answers = [sync({ config: {} })];
  await expect(incus.server.get({ timeoutMs: 19_999.666 })).resolves.toMatchObject({ value: { config: {} } });
});

describe('what is asked', () => {
  test('has the project, encoded parts and the target', async () => {
    const inProject = new IncusClient({ endpoints: [{ socketPath: socketPath() }], project: 'muon' });
    answers = [sync([])];
    await inProject.storagePools.volumes('a/b', { target: 'h 2' });
    expect(seen[0]?.url).toBe('/1.0/storage-pools/a%2Fb/volumes/custom?project=muon&recursion=1&target=h+2');
    inProject.close();
  });

  test('carries the etag that was read', async () => {
    let header: string | undefined;
    answers = [
      (_request, response) => response.setHeader('etag', 'e1').end(JSON.stringify({ type: 'sync', metadata: {} })),
      (request, response, body) => {
        header = request.headers['if-match'];
        background()(request, response, body);
      },
    ];
    const { etag } = await incus.instances.get('web');
    await incus.instances.patch('web', { config: { 'user.a': '1' } }, { etag });
    expect(header).toBe('e1');
    expect(seen[1]).toEqual({ method: 'PATCH', url: '/1.0/instances/web', body: '{"config":{"user.a":"1"}}' });
  });
});

describe('errors', () => {
  test.each([
    [404, 'Instance not found', 'NOT_FOUND', false],
    [403, 'not authorized', 'FORBIDDEN', false],
    [409, 'Conflict', 'CONFLICT', false],
    [500, 'Failed creating instance record: UNIQUE constraint failed: instances.project_id, instances.name', 'CONFLICT', false],
    [400, 'Volume by that name already exists', 'CONFLICT', false],
    [412, 'ETag doesn\'t match: a vs b', 'PRECONDITION_FAILED', false],
    [500, 'Instance is busy running a "create" operation', 'BUSY', true],
    [400, 'Failed to create instance delete operation: A matching non-reusable operation has now succeeded', 'BUSY', true],
    [500, 'no available cowsql leader server found', 'UNAVAILABLE', true],
    [500, 'Failed to begin transaction: context deadline exceeded', 'UNAVAILABLE', true],
    [500, 'Missing event connection with target cluster member', 'UNAVAILABLE', true],
    [500, 'dial tcp 10.0.0.1:8443: connect: connection refused', 'UNAVAILABLE', true],
    // Of a guest that ends while its console is read.
    [500, 'connection refused', 'UNAVAILABLE', true],
    [500, "Server isn't ready yet", 'UNAVAILABLE', true],
    [503, 'Service Unavailable', 'UNAVAILABLE', true],
    // Of an operation there is its text and 400 alone, and of a member that asked another one its text and 500.
    [400, 'Instance not found', 'NOT_FOUND', false],
    [400, 'Failed to fetch snapshot "s" of instance "web" in project "default": Instance_snapshot not found', 'NOT_FOUND', false],
    [500, 'Create custom volume from copy failed: [Storage volume not found]', 'NOT_FOUND', false],
    [500, 'Snapshot not found', 'NOT_FOUND', false],
    [400, 'Not Found', 'NOT_FOUND', false],
    [400, 'Command not found', 'REFUSED', false],
    [400, 'Name "web" already in use', 'CONFLICT', false],
    [400, 'Failed renaming instance: Query affected 0 rows instead of 1', 'BUSY', true],
    [500, 'FOREIGN KEY constraint failed', 'BUSY', true],
    [500, 'Get instance "web" in project "default"', 'BUSY', true],
    [500, 'Incus is shutting down', 'UNAVAILABLE', true],
    [500, 'driver: bad connection', 'UNAVAILABLE', true],
    [500, 'Failed to fetch from "instances" table: checkpoint in progress', 'UNAVAILABLE', true],
    [500, 'cannot start a transaction within a transaction', 'UNAVAILABLE', true],
    [500, 'sql: transaction has already been committed or rolled back', 'UNAVAILABLE', true],
    [500, 'Failed to fetch from "nodes" table: context deadline exceeded', 'UNAVAILABLE', true],
    [500, 'context canceled', 'UNAVAILABLE', true],
    [400, 'Image not available on any online member', 'UNAVAILABLE', true],
    [400, "Can't perform action as server is currently offline", 'UNAVAILABLE', true],
    [400, 'Target cluster member is offline', 'UNAVAILABLE', true],
    [400, 'The cluster member hosting the storage volume is offline', 'UNAVAILABLE', true],
    [403, 'Cluster member is evacuated', 'UNAVAILABLE', true],
    [500, 'Post "https://10.0.0.2:8443/1.0/instances": EOF', 'UNAVAILABLE', true],
    [500, 'read tcp 10.0.0.1:4->10.0.0.2:8443: read: connection reset by peer', 'UNAVAILABLE', true],
    [500, 'write tcp 10.0.0.1:4->10.0.0.2:8443: write: broken pipe', 'UNAVAILABLE', true],
    [500, 'Get "https://10.0.0.2:8443/1.0": net/http: TLS handshake timeout', 'UNAVAILABLE', true],
    // A guest that does not end when it is asked to.
    [500, 'Failed shutting down instance, status is "Running": context deadline exceeded', 'FAILED', false],
    [500, 'Failed to run: rsync …: write failed on "/x": No space left on device (28)', 'FAILED', false],
    [400, 'Failed creating instance record: Requested profile "none" doesn\'t exist', 'REFUSED', false],
    [500, 'Volume exists in database but not on storage', 'FAILED', false],
    [400, 'Invalid instance name', 'REFUSED', false],
    [500, 'exit status 1', 'FAILED', false],
  ])('%i %s is %s', async (status, message, kind, retryable) => {
    answers = [failed(status, message)];
    await expect(incus.instances.delete('web')).rejects.toMatchObject({ name: 'IncusError', kind, status, message, retryable, outcomeUnknown: false });
    expect(seen).toHaveLength(1);
  });

  test('what is not Incus is told apart', async () => {
    answers = [(_request, response) => response.end('<html>')];
    await expect(incus.instances.list()).rejects.toMatchObject({ kind: 'PROTOCOL' });
  });

  test('a list of all instances may be large: each carries its user data twice', async () => {
    const config = { 'cloud-init.user-data': 'x'.repeat(70 * 2 ** 20) };
    answers = [sync([{ name: 'web', config }])];
    expect((await incus.instances.list())[0]?.name).toBe('web');
  });

  test('an answer without an end is not read to the end', async () => {
    answers = [
      (_request, response) => {
        response.on('error', () => undefined);
        const fill = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(1 << 20)));
          if (!response.destroyed) response.once('drain', fill);
        };
        fill();
      },
    ];
    await expect(incus.instances.consoleLog('web')).rejects.toMatchObject({ kind: 'PROTOCOL' });
  });
});

describe('lost answers', () => {
  test('are asked for again when nothing is changed', async () => {
    answers = [cut, cut, sync([{ name: 'web' }])];
    expect(await incus.instances.list()).toEqual([{ name: 'web' }]);
    expect(seen).toHaveLength(3);
  });

  test('are asked for again only so often', async () => {
    answers = [cut];
    await expect(incus.instances.list()).rejects.toMatchObject({ kind: 'UNAVAILABLE', retryable: true, outcomeUnknown: false });
    expect(seen).toHaveLength(4);
  });

  test.each([
    ['a creation', async () => incus.instances.create({ name: 'web', source: { type: 'none' } })],
    ['a change', async () => incus.instances.patch('web', {})],
    ['a deletion', async () => incus.instances.delete('web')],
  ])('of %s are not: it may have been made', async (_what, call) => {
    answers = [cut];
    await expect(call()).rejects.toMatchObject({ kind: 'UNAVAILABLE', retryable: true, outcomeUnknown: true });
    expect(seen).toHaveLength(1);
  });

  test('a deletion that never left is sent when somebody listens; a creation is left to its caller', async () => {
    await new Promise((resolve) => server.close(resolve));
    const creation = incus.instances.create({ name: 'web', source: { type: 'none' } });
    await expect(creation).rejects.toMatchObject({ kind: 'UNAVAILABLE', outcomeUnknown: false });
    const deletion = incus.instances.delete('web');
    answers = [background()];
    await listen();
    expect((await deletion).id).toBe('op-1');
  });

  test('time out', async () => {
    answers = [silent];
    const creation = incus.instances.create({ name: 'web', source: { type: 'none' } }, { timeoutMs: 30 });
    await expect(creation).rejects.toMatchObject({ kind: 'TIMEOUT', outcomeUnknown: true });
    await expect(incus.instances.list({ timeoutMs: 30 })).rejects.toMatchObject({ kind: 'TIMEOUT', outcomeUnknown: false });
  });

  test('are given up when the caller says so', async () => {
    const caller = new AbortController();
    answers = [() => caller.abort()];
    await expect(incus.instances.list({ signal: caller.signal })).rejects.toMatchObject({ kind: 'CANCELLED' });
    expect(seen).toHaveLength(1);
  });
});

describe('an upload', () => {
  test('sends its files one after another', async () => {
    const files = { metadata: join(folder, 'metadata'), rootfs: join(folder, 'rootfs') };
    await writeFile(files.metadata, 'about it');
    await writeFile(files.rootfs, 'all of it');
    answers = [background()];
    await incus.images.upload(files, { properties: { os: 'busy & box' } });
    expect(seen[0]?.body).toMatch(/^--(\S+)\r\n[^]*name="metadata"[^]*\r\n\r\nabout it\r\n--\1\r\n[^]*name="rootfs"[^]*\r\n\r\nall of it\r\n--\1--\r\n$/);
  });

  test('of a file that is not there is refused here', async () => {
    answers = [background()];
    const upload = incus.images.upload({ unified: join(folder, 'nothing') });
    await expect(upload).rejects.toMatchObject({ name: 'IncusError', kind: 'REFUSED', retryable: false });
  });
});

describe('an operation', () => {
  const start = async () => incus.instances.create({ name: 'web', source: { type: 'none' } }, { target: 'h2' });

  test('is waited for by its id, until it ends', async () => {
    answers = [background(), operation(103), operation(105), operation(200)];
    const ended = await (await start()).wait();
    expect(ended?.status_code).toBe(200);
    expect(seen.slice(1).map(({ url }) => url.split('?')[0])).toEqual(Array(3).fill('/1.0/operations/op-1/wait'));
  });

  test('that Incus did at once is over', async () => {
    answers = [sync({})];
    expect(await (await start()).wait()).toBeUndefined();
    expect(seen).toHaveLength(1);
  });

  test('that fails throws what Incus said', async () => {
    answers = [background(), failed(404, 'Storage volume not found'), operation(400, 'Storage volume not found')];
    await expect((await start()).wait()).rejects.toMatchObject({ kind: 'NOT_FOUND', message: 'Storage volume not found', outcomeUnknown: false });
  });

  test('that has failed and is forgotten throws it as well', async () => {
    answers = [background(), failed(500, 'exit status 1'), failed(404, 'Operation not found')];
    await expect((await start()).wait()).rejects.toMatchObject({ kind: 'FAILED', message: 'exit status 1' });
  });

  test('goes on when only the wait ran out', async () => {
    answers = [background(), failed(500, 'context deadline exceeded'), operation(103), operation(200)];
    expect((await (await start()).wait())?.status_code).toBe(200);
  });

  test('that nobody knows any more may have ended in any way', async () => {
    answers = [failed(404, 'Operation not found')];
    await expect(incus.operations.wait('op-1')).rejects.toMatchObject({ kind: 'OPERATION_LOST', outcomeUnknown: true, retryable: true });
  });

  test('that takes too long is left alone, and goes on', async () => {
    answers = [background(), operation(103)];
    await expect((await start()).wait({ timeoutMs: 50 })).rejects.toMatchObject({ kind: 'TIMEOUT', outcomeUnknown: true });
  });

  test('that was cancelled throws CANCELLED', async () => {
    answers = [background(), operation(401)];
    await expect((await start()).wait()).rejects.toMatchObject({ kind: 'CANCELLED', outcomeUnknown: true });
  });

  test('whose member goes away while we wait has an unknown outcome', async () => {
    answers = [background(), cut];
    await expect((await start()).wait()).rejects.toMatchObject({ kind: 'UNAVAILABLE', outcomeUnknown: true });
  });
});

describe('a command', () => {
  test('has its control socket before any other: Incus may end it as soon as the others are there, and dies when one connects just then', async () => {
    const fds = { control: 'control', 0: 'stdin', 1: 'stdout', 2: 'stderr' };
    const heard: string[] = [];
    const sockets = new WebSocketServer({ noServer: true });
    server.on('upgrade', (request, socket, head) => {
      const secret = new URL(request.url ?? '', 'http://incus').searchParams.get('secret') ?? '';
      heard.push(`${secret} asked`);
      const connect = (): void =>
        sockets.handleUpgrade(request, socket, head, (opened) => {
          heard.push(`${secret} connected`);
          if (secret.startsWith('std') && secret !== 'stdin') opened.send('');
        });
      if (secret === 'control') setTimeout(connect, 50);
      else connect();
    });
    const ended = { id: 'op-1', class: 'websocket', status_code: 200, err: '', metadata: { return: 0 } };
    answers = [
      (_request, response) => response.end(JSON.stringify({ type: 'async', status_code: 100, operation: '/1.0/operations/op-1', metadata: { ...ended, status_code: 103, metadata: { fds } } })),
      sync(ended),
    ];
    expect(await incus.instances.execute('web', { command: ['true'] })).toMatchObject({ exitCode: 0 });
    expect(heard.slice(0, 2)).toEqual(['control asked', 'control connected']);
    expect(heard).toHaveLength(8);
    sockets.close();
  });
});

describe('events', () => {
  const event = (action: string): IncusEvent => ({
    type: 'lifecycle',
    timestamp: '2026-01-01T00:00:00Z',
    location: 'h1',
    metadata: { action, source: '/1.0/instances/web' },
  });

  test('go on after a lost connection, which is told, and end with close', async () => {
    const sockets = new WebSocketServer({ server });
    const heard: string[] = [];
    const twice = Promise.withResolvers<void>();
    let connections = 0;
    sockets.on('connection', (socket) => {
      connections += 1;
      socket.send('no JSON');
      socket.send(JSON.stringify(event(`from connection ${connections}`)));
      if (connections === 1) socket.close();
    });
    const stream = incus.listen({
      onConnected: () => heard.push('connected'),
      onDisconnected: ({ kind }) => heard.push(kind),
      onEvent: ({ metadata }) => {
        heard.push('action' in metadata ? metadata.action : '');
        if (connections === 2) twice.resolve();
      },
    });
    await twice.promise;
    await stream.close();
    expect(heard).toEqual(['connected', 'from connection 1', 'UNAVAILABLE', 'connected', 'from connection 2']);
    sockets.close();
  });

  test('connect anew when the other side has fallen silent', async () => {
    const sockets = new WebSocketServer({ server, autoPong: false });
    const again = Promise.withResolvers<void>();
    let connections = 0;
    sockets.on('connection', () => {
      connections += 1;
      if (connections === 2) again.resolve();
    });
    const stream = incus.listen({ onConnected: () => undefined, onEvent: () => undefined }, { heartbeatMs: 20 });
    await again.promise;
    await stream.close();
    sockets.close();
  });
});
