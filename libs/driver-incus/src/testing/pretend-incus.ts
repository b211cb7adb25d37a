import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { typeidUnboxed } from 'typeid-js';
import { afterEach, beforeEach } from 'vitest';
import { sleep } from '#core';
import type { DiskSpecification, Driver, DriverCall, MachineSpecification } from '#drivers';
import { StatusCode, type Instance, type NewInstance } from '#incus';
import { incusDriverFactory } from '../incus-driver.js';
import type { IncusOptions } from '../options.js';

export const callOf = (overrides: Partial<DriverCall> = {}): DriverCall => ({
  idempotencyKey: typeidUnboxed('call'),
  timeoutMs: 10_000,
  signal: new AbortController().signal,
  ...overrides,
});

const OWNERSHIP = { installationId: 'installation_1', tenantId: 'tenant_1', projectId: 'project_1' };

/** A new disk of the image, on the first member. */
export const diskOf = (): DiskSpecification => ({
  diskId: typeidUnboxed('disk'),
  ownership: OWNERSHIP,
  poolName: 'local',
  hostName: 'h1',
  sizeGib: 1,
  iopsLimit: null,
  imageReference: 'tiny',
});

/** A new machine on that root disk, on the first member. */
export const machineOf = (diskId: string): MachineSpecification => ({
  machineId: typeidUnboxed('vm'),
  hostname: 'web',
  ownership: OWNERSHIP,
  hostName: 'h1',
  imageReference: 'tiny',
  cpu: 1,
  memoryMib: 128,
  interfaces: [],
  diskIds: [diskId],
  userData: '',
});

/** A request as it came: method, path without `/1.0`, and query. */
export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
  /** The state that a change is meant for. */
  tag: string | undefined;
}

type Answer = (asked: Asked) => unknown;
interface Rule {
  matches: RegExp;
  answer: Answer;
}

class Refusal {
  constructor(
    readonly status: number,
    readonly message: string,
  ) {}
}

/** For each test a new one, and a driver on it; both end with the test. */
export function pretendIncus(options: IncusOptions = {}): { readonly incus: PretendIncus; readonly driver: Driver } {
  const bench = {} as { incus: PretendIncus; driver: Driver };
  beforeEach(async () => {
    bench.incus = await PretendIncus.start();
    bench.driver = await bench.incus.connect(options);
  });
  afterEach(() => bench.incus[Symbol.asyncDispose]());
  return bench;
}

/** A small Incus in memory, for what a real one cannot be brought to do; the real one is spoken to in test/lab. */
export class PretendIncus implements AsyncDisposable {
  readonly instances = new Map<string, Instance>();
  readonly members = new Map<string, { status: string }>([['h1', { status: 'Online' }]]);
  /** `GET /instances?recursion=1`, and so on. */
  readonly asked: string[] = [];
  private readonly rules: Rule[] = [];
  private readonly ended = new AbortController();
  private readonly drivers: Driver[] = [];
  private tags = 0;

  private constructor(
    private readonly folder: string,
    private readonly server: Server = createServer(),
  ) {
    server.on('request', (request, response) => void this.serve(request, response));
  }

  static async start(): Promise<PretendIncus> {
    const incus = new PretendIncus(await mkdtemp(join(tmpdir(), 'muon-incus-')));
    await new Promise<void>((resolve) => incus.server.listen(incus.socketPath, resolve));
    return incus;
  }

  get socketPath(): string {
    return join(this.folder, 'socket');
  }

  /** As one process has it; closed with this. */
  async connect(options: IncusOptions = {}): Promise<Driver> {
    const connection = { backendId: 'backend_1', installationId: 'installation_1', endpoint: `unix:${this.socketPath}`, secret: null, options };
    const driver = await incusDriverFactory().connect(connection);
    this.drivers.push(driver);
    return driver;
  }

  /** From now on such requests (`GET /operations`) are answered so; the last that was said counts. */
  when(matches: RegExp, answer: Answer): void {
    this.rules.unshift({ matches, answer });
  }

  /** Such requests are answered after that time. */
  slow(matches: RegExp, delayMs: number): void {
    this.when(matches, async (asked) => {
      await sleep(delayMs, this.ended.signal);
      return this.answer(asked);
    });
  }

  /** How often it was asked so. */
  count(matches: RegExp): number {
    return this.asked.filter((each) => matches.test(each)).length;
  }

  refuse(status: number, message: string): Refusal {
    return new Refusal(status, message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended.abort();
    for (const driver of this.drivers) await driver.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://incus');
    url.searchParams.delete('project');
    const body = await text(request);
    const asked = { method: request.method ?? '', path: url.pathname.slice('/1.0'.length), query: url.searchParams, body: body === '' ? undefined : JSON.parse(body), tag: request.headers['if-match'] };
    const said = `${asked.method} ${asked.path}${url.search}`;
    this.asked.push(said);
    const rule = this.rules.find(({ matches }) => matches.test(said));
    const metadata = await (rule === undefined ? this.answer(asked) : rule.answer(asked));
    if (metadata instanceof Refusal) {
      response.statusCode = metadata.status;
      response.end(JSON.stringify({ type: 'error', error: metadata.message, error_code: metadata.status }));
      return;
    }
    const name = /^\/instances\/([^/]+)$/.exec(asked.path)?.[1];
    if (name !== undefined && asked.method === 'GET') response.setHeader('etag', this.tagOf(name));
    response.end(JSON.stringify({ type: 'sync', status_code: 200, metadata }));
  }

  /** As without any rule. What is changed is changed at once. */
  answer(asked: Asked): unknown {
    const { method, path, query, body } = asked;
    const [noun, name, part] = path.split('/').slice(1);
    if (noun === 'instances') return name === undefined ? this.list(method, query, body as NewInstance) : this.instance(asked, name, part);
    if (noun === 'operations') return {};
    if (path === '/storage-pools') return [{ name: 'local', driver: 'dir', locations: [...this.members.keys()], used_by: [], config: {} }];
    if (path === '/storage-pools/local') return { name: 'local', driver: 'dir' };
    if (part === 'resources') return { space: { used: 0, total: 2 ** 40 }, inodes: { used: 0, total: 0 } };
    if (noun === 'storage-pools') return path.endsWith('/custom') ? [] : new Refusal(404, 'Storage volume not found');
    if (path === '/cluster/members') return [...this.members].map(([server_name, { status }]) => ({ server_name, status }));
    return new Refusal(404, 'not found');
  }

  private list(method: string, query: URLSearchParams, wanted: NewInstance): unknown {
    if (method === 'GET') return query.has('recursion') ? [...this.instances.values()] : [...this.instances.keys()].map((each) => `/1.0/instances/${each}`);
    if (this.instances.has(wanted.name)) return new Refusal(409, `Instance "${wanted.name}" already exists`);
    this.put({ ...wanted, location: query.get('target') ?? 'h1' });
    return {};
  }

  private instance({ method, body, tag }: Asked, name: string, part: string | undefined): unknown {
    const found = this.instances.get(name);
    if (found === undefined) return new Refusal(404, 'Instance not found');
    if (part === 'state' && method === 'GET') return { network: {}, pid: 1 };
    if (part === 'state') return this.put({ ...found, status_code: (body as { action: string }).action === 'stop' ? StatusCode.STOPPED : StatusCode.RUNNING });
    if (method === 'GET') return found;
    if (method === 'DELETE' || method === 'POST') this.instances.delete(name);
    // A name is no part of what the tag stands for.
    if (method === 'POST') this.instances.set((body as { name: string }).name, { ...found, name: (body as { name: string }).name });
    if (method === 'PUT' && tag !== undefined && tag !== this.tagOf(name)) return new Refusal(412, "ETag doesn't match");
    if (method === 'PUT' || method === 'PATCH') this.put({ ...found, ...(body as Partial<Instance>) });
    return {};
  }

  private put(instance: Partial<Instance> & { name: string }): Record<string, never> {
    this.tags += 1;
    const known = { config: {}, devices: {}, profiles: [], location: 'h1', type: 'container', status_code: StatusCode.STOPPED, ...instance };
    this.instances.set(instance.name, { ...known, created_at: String(this.tags) } as unknown as Instance);
    return {};
  }

  private tagOf(name: string): string {
    return this.instances.get(name)?.created_at ?? '';
  }
}
