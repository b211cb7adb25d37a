import http from 'node:http';
import https from 'node:https';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { describeEndpoint, type Endpoint, type HttpsEndpoint } from './endpoint.js';
import { IncusError } from './incus-error.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Bytes = AsyncIterable<Uint8Array>;

export interface TransportRequest {
  method: Method;
  /** With its query. */
  path: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array | Bytes;
  /** For the whole of it, from the connection to the last byte of the answer. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Largest answer that is read. */
  limitBytes?: number;
  /** By a connection of its own, that nothing else stands in the way of. */
  isApart?: boolean;
}

export interface TransportAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

const MAX_SOCKETS = 64;
const MAX_IDLE_SOCKETS = 8;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** A host that is off answers nothing, and the kernel would ask for minutes. */
const CONNECT_TIMEOUT_MS = 3000;
const HTTPS_PORT = 443;
const MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** What `connect` says when nothing can have been sent. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOENT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ETIMEDOUT']);

/** The connections to one member: kept alive, bounded in number, each request bounded in time. */
export class Transport {
  private readonly agent: http.Agent;
  private readonly apart: http.Agent;
  private readonly sockets = new Set<WebSocket>();
  private readonly where: string;

  constructor(private readonly endpoint: Endpoint) {
    const agentOf = (limits: http.AgentOptions): http.Agent =>
      'socketPath' in endpoint ? new http.Agent(limits) : new https.Agent({ ...limits, ...tlsOptions(endpoint) });
    this.agent = agentOf({ keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_IDLE_SOCKETS });
    this.apart = agentOf({ keepAlive: false });
    this.where = describeEndpoint(endpoint);
  }

  /** @throws IncusError: UNAVAILABLE, TIMEOUT, CANCELLED or PROTOCOL; whatever Incus answers is an answer */
  async send(request: TransportRequest): Promise<TransportAnswer> {
    const timeout = AbortSignal.timeout(Math.ceil(request.timeoutMs));
    const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
    try {
      return await this.exchange(request, signal);
    } catch (error) {
      throw this.errorOf(error, request, timeout);
    }
  }

  /** A socket that is still connecting; the caller hears `open`, `close` and `error`. */
  openWebSocket(path: string, handshakeTimeoutMs: number): WebSocket {
    const socket = new WebSocket(`ws://incus${path}`, {
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
      createConnection: () => connectTo(this.endpoint),
    });
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    return socket;
  }

  /** Ends all connections; what waits for an answer on one fails as UNAVAILABLE. Later requests make new ones. */
  abandon(): void {
    this.agent.destroy();
    this.apart.destroy();
    for (const socket of this.sockets) socket.terminate();
  }

  private async exchange(request: TransportRequest, signal: AbortSignal): Promise<TransportAnswer> {
    const { body } = request;
    let unreadable: IncusError | undefined;
    const outgoing = this.request(request, signal);
    outgoing.once('socket', connectInTime);
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve);
      // For good: an error may come after the answer, too.
      outgoing.on('error', reject);
    });
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) outgoing.end(body);
    // What fails in it ends the request as well; should Incus refuse before all was sent, its answer counts.
    else pipeline(Readable.from(reading(body, (error) => (unreadable = error))), outgoing).catch(() => undefined);
    const answer = await answered.catch((error: unknown) => {
      throw unreadable ?? error;
    });
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await readAll(answer, request.limitBytes ?? MAX_ANSWER_BYTES) };
  }

  private request({ method, path, headers = {}, isApart = false }: TransportRequest, signal: AbortSignal): http.ClientRequest {
    const { endpoint } = this;
    const options = { method, headers, agent: isApart ? this.apart : this.agent, signal };
    return 'socketPath' in endpoint
      ? http.request({ ...options, socketPath: endpoint.socketPath, path, host: 'incus' })
      : https.request(new URL(path, endpoint.url), options);
  }

  private errorOf(error: unknown, request: TransportRequest, timeout: AbortSignal): IncusError {
    if (error instanceof IncusError) return error;
    const changes = request.method !== 'GET';
    const what = `${request.method} ${request.path.split('?')[0]} at ${this.where}`;
    if (timeout.aborted) {
      return new IncusError('TIMEOUT', `${what} had no answer within ${request.timeoutMs} ms.`, { outcomeUnknown: changes, cause: error });
    }
    if (request.signal?.aborted) return new IncusError('CANCELLED', `${what} was given up.`, { outcomeUnknown: changes, cause: error });
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    const neverSent = syscall === 'connect' && NEVER_SENT.has(code ?? '');
    return new IncusError('UNAVAILABLE', `${what}: ${message}`, { outcomeUnknown: changes && !neverSent, neverSent, cause: error });
  }
}

/** Ends a socket that is still connecting after its time. */
function connectInTime(socket: Socket): void {
  if (!socket.connecting) return;
  const timer = setTimeout(() => {
    const error = new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`);
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT', syscall: 'connect' }));
  }, CONNECT_TIMEOUT_MS);
  for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer));
}

function connectTo(endpoint: Endpoint): Socket {
  if ('socketPath' in endpoint) return connect(endpoint.socketPath);
  const { hostname, port } = new URL(endpoint.url);
  return connectTls({ host: hostname, port: Number(port || HTTPS_PORT), ...tlsOptions(endpoint) });
}

/** The server's certificate is pinned, so that its name does not matter. */
function tlsOptions({ serverCertificate, client }: HttpsEndpoint) {
  return {
    ca: serverCertificate,
    checkServerIdentity: () => undefined,
    minVersion: 'TLSv1.3' as const,
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
  };
}

/** Of what cannot be read the connection only knows that it was closed. */
async function* reading(body: Bytes, onError: (error: IncusError) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    onError(new IncusError('REFUSED', `What was to be sent cannot be read: ${(error as Error).message}`, { cause: error }));
    throw error;
  }
}

async function readAll(answer: http.IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limitBytes) {
      answer.destroy();
      throw new IncusError('PROTOCOL', `The answer is larger than the ${limitBytes} bytes that are allowed.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
