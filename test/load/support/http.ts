import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface HttpAnswer {
  status: number;
  body: Buffer;
}

interface Waiting {
  resolve: (answer: HttpAnswer) => void;
  reject: (error: Error) => void;
}

const HEAD_END = '\r\n\r\n';

/**
 * One kept-alive connection that sends requests made beforehand, one at a time, and reads only what it must of the
 * answers: the less the client costs, the less it takes from what is measured on the same machine.
 */
export class HttpConnection {
  private waiting: Waiting | undefined;
  private received: Buffer = Buffer.alloc(0);

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.take(chunk));
    socket.on('error', (error) => this.waiting?.reject(error));
    socket.on('close', () => this.waiting?.reject(new Error('the server closed the connection')));
  }

  static async open(url: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  send(request: Buffer): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.waiting = undefined;
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    const headEnd = this.received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = this.received.toString('latin1', 0, headEnd);
    const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
    const start = headEnd + HEAD_END.length;
    if (Number.isNaN(length)) return this.waiting?.reject(new Error(`an answer without a length: ${head}`));
    if (this.received.length < start + length) return;
    const answer = { status: Number(head.slice(9, 12)), body: this.received.subarray(start, start + length) };
    this.received = this.received.subarray(start + length);
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.resolve(answer);
  }
}

/** A GraphQL request as it goes over the wire. */
export function graphqlRequest(token: string, query: string, variables: Record<string, unknown>, headers: Record<string, string> = {}): Buffer {
  const body = JSON.stringify({ query, variables });
  const lines = Object.entries({
    host: 'bench',
    'content-type': 'application/json',
    accept: 'application/graphql-response+json',
    authorization: `Bearer ${token}`,
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from(['POST /graphql HTTP/1.1', ...lines, '', body].join('\r\n'));
}

export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`);
}
