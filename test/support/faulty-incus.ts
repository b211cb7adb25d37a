import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Duplex } from 'node:stream';
import { sleep } from '#core';

type Fault = { kind: 'LOST_ANSWER' } | { kind: 'HANG' } | { kind: 'LATE'; delayMs: number };
type Matches = (method: string, path: string) => boolean;

/** The one request with which a method of the driver changes something. */
const REQUESTS: Record<string, Matches> = {
  createMachine: (method, path) => method === 'PUT' && /^\/1\.0\/instances\/[^/]+$/.test(path),
  createDisk: (method, path) => method === 'POST' && /^\/1\.0\/(instances|storage-pools\/[^/]+\/volumes\/custom)$/.test(path),
  limitDisk: (method, path) => method === 'PATCH' && /^\/1\.0\/storage-pools\/[^/]+\/volumes\/custom\/[^/]+$/.test(path),
  startMachine: (method, path) => method === 'PUT' && /^\/1\.0\/instances\/[^/]+\/state$/.test(path),
  runInGuest: (method, path) => method === 'POST' && /^\/1\.0\/instances\/[^/]+\/exec$/.test(path),
  listHosts: (method, path) => method === 'GET' && path === '/1.0/cluster/members',
};
const SOCKETS_OF_A_COMMAND = 4;

/** Stands before an Incus that is in order, and lets requests go wrong on the way. */
export class FaultyIncus {
  private readonly faults: { matches: Matches; fault: Fault }[] = [];
  private readonly open = new Set<Duplex>();
  private readonly late: Promise<void>[] = [];
  private deafSockets = 0;

  private constructor(
    private readonly upstream: string,
    private readonly folder: string,
    private readonly server = createServer(),
  ) {
    server.on('request', (incoming, outgoing) => void this.pass(incoming, outgoing).catch(() => outgoing.destroy()));
    server.on('upgrade', (incoming, socket, head) => this.upgrade(incoming, socket, head));
    server.on('connection', (socket) => this.keep(socket));
  }

  /** @param upstream the socket of the Incus behind it */
  static async before(upstream: string): Promise<FaultyIncus> {
    const faulty = new FaultyIncus(upstream, await mkdtemp(join(tmpdir(), 'muon-incus-')));
    await new Promise<void>((resolve) => faulty.server.listen(faulty.socketPath, resolve));
    return faulty;
  }

  get socketPath(): string {
    return join(this.folder, 'incus.socket');
  }

  /** The next change of that method of the driver. @throws Error for a method whose request is not known here */
  add(method: string, fault: Fault): void {
    const matches = REQUESTS[method];
    if (matches === undefined) throw new Error(`no fault of "${method}" is known here`);
    this.faults.push({ matches, fault });
  }

  async close(): Promise<void> {
    await Promise.all(this.late);
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true });
  }

  private keep(socket: Duplex): void {
    this.open.add(socket);
    socket.once('close', () => this.open.delete(socket)).on('error', () => undefined);
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = (incoming.url ?? '').split('?')[0] ?? '';
    const index = this.faults.findIndex(({ matches }) => matches(incoming.method ?? '', path));
    const fault = index === -1 ? undefined : this.faults.splice(index, 1)[0]?.fault;
    const body = await buffer(incoming);
    if (fault?.kind === 'HANG') return;
    if (fault?.kind === 'LATE') {
      outgoing.destroy();
      this.late.push(sleep(fault.delayMs).then(async () => void (await this.forward(incoming, body))));
      return;
    }
    // What a command has done is told on its own connections.
    const isCommand = REQUESTS['runInGuest']?.(incoming.method ?? '', path) === true;
    if (fault !== undefined && isCommand) this.deafSockets = SOCKETS_OF_A_COMMAND;
    const answer = await this.forward(incoming, body);
    if (fault !== undefined && !isCommand) {
      await buffer(answer);
      outgoing.destroy();
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(outgoing);
  }

  private async forward(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { method, url, headers } = incoming;
    return new Promise((resolve, reject) => {
      const passed = request({ socketPath: this.upstream, method, path: url, headers }, resolve).once('error', reject);
      passed.end(body);
    });
  }

  private upgrade(incoming: IncomingMessage, client: Duplex, head: Buffer): void {
    const isDeaf = this.deafSockets > 0;
    if (isDeaf) this.deafSockets -= 1;
    const upstream: Socket = connect(this.upstream);
    this.keep(upstream);
    const headers = incoming.rawHeaders.flatMap((value, index) => (index % 2 === 0 ? [`${value}: ${incoming.rawHeaders[index + 1]}`] : []));
    upstream.write(`${[`${incoming.method} ${incoming.url} HTTP/1.1`, ...headers].join('\r\n')}\r\n\r\n`);
    upstream.write(head);
    client.pipe(upstream);
    if (!isDeaf) {
      upstream.pipe(client);
      return;
    }
    let handshake = true;
    upstream.on('data', (data: Buffer) => {
      if (!handshake) return;
      handshake = false;
      client.write(data.subarray(0, data.indexOf('\r\n\r\n') + 4));
    });
    upstream.once('close', () => client.destroy());
  }
}
