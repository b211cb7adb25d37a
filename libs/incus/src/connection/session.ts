import type { IncomingHttpHeaders } from 'node:http';
import type { WebSocket } from 'ws';
import { backoffMs, sleep } from '#core';
import { RunningOperation } from '../operation/running-operation.js';
import type { Operation } from '../operation/operation.js';
import type { Endpoint } from './endpoint.js';
import { errorOfAnswer, IncusError, isNotReady } from './incus-error.js';
import { Members, type MemberAnswer, type Patience } from './members.js';
import type { Bytes, Method } from './transport.js';

export interface SessionOptions {
  /** Of one member or of more: the first is asked as long as it can be, then the next. */
  endpoints: readonly Endpoint[];
  /** The Incus project that calls are about; `default` if not given. */
  project?: string;
  /** For calls that are given none of their own. */
  timeoutMs?: number;
  /** With a member that does not answer, where there are others. */
  patience?: Patience;
}

export interface CallOptions {
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** For calls that say which member is to do it. */
export interface TargetOptions extends CallOptions {
  target?: string | undefined;
}

/** For changes: refused with PRECONDITION_FAILED unless the object still has this etag. */
export interface ChangeOptions extends CallOptions {
  etag?: string | undefined;
}

export interface Call extends CallOptions {
  method: Method;
  /** Parts of the path below `/1.0`, each one encoded. */
  path: readonly string[];
  query?: Record<string, string | number | undefined> | undefined;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  bytes?: string | Uint8Array | Bytes;
  limitBytes?: number;
}

/** An object with what a later change needs to be sure of it. */
export interface Tagged<T> {
  value: T;
  etag: string;
}

export interface RawAnswer {
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** The envelope of each JSON answer. */
interface Envelope {
  type: 'sync' | 'async' | 'error';
  metadata: unknown;
  error?: string;
  error_code?: number;
}

const TIMEOUT_MS = 30_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const ATTEMPTS = 4;
const BACKOFF_BASE_MS = 50;
const BACKOFF_MAX_MS = 1000;
const IDEMPOTENT = new Set<Method>(['PUT', 'PATCH', 'DELETE']);

/** Calls of the REST API: envelopes, retries, projects. The rooms of the API (`instances`, `images`, …) stand on it. */
export class Session {
  private readonly members: Members;
  private readonly project: string | undefined;
  private readonly timeoutMs: number;

  constructor({ endpoints, project, timeoutMs = TIMEOUT_MS, patience }: SessionOptions) {
    this.members = new Members(endpoints, patience);
    this.project = project;
    this.timeoutMs = timeoutMs;
  }

  async get<T>(path: readonly string[], options: CallOptions & Pick<Call, 'query' | 'limitBytes'> = {}): Promise<T> {
    return (await this.getTagged<T>(path, options)).value;
  }

  async getTagged<T>(path: readonly string[], options: CallOptions & Pick<Call, 'query' | 'limitBytes'> = {}): Promise<Tagged<T>> {
    const { headers, envelope } = await this.json({ ...options, method: 'GET', path });
    return { value: envelope.metadata as T, etag: headers.etag ?? '' };
  }

  /** A change that Incus makes at once or in the background: the handle is the same, and may be over already. */
  async change(call: Call): Promise<RunningOperation> {
    const { envelope } = await this.json(call);
    return envelope.type === 'async' ? new RunningOperation(this, envelope.metadata as Operation) : new RunningOperation(this);
  }

  /** For answers that are not JSON: files and logs. */
  async raw(call: Call): Promise<RawAnswer> {
    const { answer } = await this.retried(call);
    if (answer.status >= 400) throw errorOfAnswer(answer.status, messageOf(answer.body));
    return answer;
  }

  /** @param follows whether it ends when another member is asked from then on */
  openWebSocket(path: readonly string[], query: Record<string, string> = {}, follows = false): WebSocket {
    return this.members.openWebSocket(this.pathOf(path, query), { handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS, follows });
  }

  close(): void {
    this.members.close();
  }

  private async json(call: Call): Promise<{ headers: IncomingHttpHeaders; envelope: Envelope }> {
    const { answer, member } = await this.retried(call);
    const { status, headers, body } = answer;
    const envelope = parseEnvelope(body);
    if (envelope === undefined) throw new IncusError('PROTOCOL', `An answer with status ${status} is not Incus's.`, { status });
    // A wait sends its status before it knows how it ends; only the envelope tells.
    if (envelope.type !== 'error') return { headers, envelope };
    const error = errorOfAnswer(envelope.error_code ?? status, envelope.error ?? 'unknown error');
    // It may be cut off from the others, who have one.
    if (isNotReady(error)) this.members.leave(member);
    throw error;
  }

  private async retried(call: Call): Promise<MemberAnswer> {
    const timeoutMs = call.timeoutMs ?? this.timeoutMs;
    const deadline = Date.now() + timeoutMs;
    const others = this.members.count - 1;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.members.send({
          method: call.method,
          path: this.pathOf(call.path, call.query ?? {}),
          headers: { ...(call.json === undefined ? {} : { 'content-type': 'application/json' }), ...call.headers },
          ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
          ...(call.bytes === undefined ? {} : { body: call.bytes }),
          timeoutMs: Math.max(1, deadline - Date.now()),
          signal: call.signal,
          ...(call.limitBytes === undefined ? {} : { limitBytes: call.limitBytes }),
        });
      } catch (error) {
        // The others are asked at once; there is no sense in waiting for who is away.
        const pause = attempt < others ? 0 : backoffMs(attempt - others, BACKOFF_BASE_MS, BACKOFF_MAX_MS);
        if (attempt + 1 === ATTEMPTS + others || Date.now() + pause >= deadline || !mayRepeat(call, error, others > 0)) throw error;
        await sleep(pause, call.signal);
      }
    }
  }

  private pathOf(path: readonly string[], query: Record<string, string | number | undefined>): string {
    const search = new URLSearchParams();
    if (this.project !== undefined) search.set('project', this.project);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
    const text = search.toString();
    return `/1.0${path.map((part) => `/${encodeURIComponent(part)}`).join('')}${text === '' ? '' : `?${text}`}`;
  }
}

/** Reading may always be repeated; changes only where the first never left: elsewhere all, here those that are the same twice. */
function mayRepeat({ method, signal, bytes }: Call, error: unknown, elsewhere: boolean): boolean {
  if (!(error instanceof IncusError) || error.kind !== 'UNAVAILABLE' || signal?.aborted) return false;
  if (method === 'GET') return true;
  // What is read while it is sent cannot be read again.
  const isAtHand = bytes === undefined || typeof bytes === 'string' || bytes instanceof Uint8Array;
  return !error.outcomeUnknown && (IDEMPOTENT.has(method) || (elsewhere && isAtHand));
}

function parseEnvelope(body: Buffer): Envelope | undefined {
  try {
    const value = JSON.parse(body.toString()) as Partial<Envelope> | null;
    return value !== null && ['sync', 'async', 'error'].includes(value.type ?? '') ? (value as Envelope) : undefined;
  } catch {
    return undefined;
  }
}

const messageOf = (body: Buffer): string => parseEnvelope(body)?.error ?? body.toString().slice(0, 1000);
