import { once, type EventEmitter } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { parseEndpoint } from '../wire/endpoint.js';
import { isObject, parseJson, type JsonObject } from '../wire/json.js';
import { MessageFramer } from '../wire/message-framer.js';

/** What becomes of a message: it goes on, is dropped, cuts the connection, or is answered here. */
export type Verdict = 'forward' | 'drop' | 'cut' | JsonObject;

/** A network between client and server that does what it is told to. */
export class Proxy {
  readonly endpoint: string;
  /** Of every message that has come from clients. */
  readonly methods: string[] = [];
  connections = 0;
  fromClient: (message: JsonObject) => Verdict = () => 'forward';
  fromServer: (message: JsonObject) => Verdict = () => 'forward';
  readonly #sockets = new Set<Socket>();
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.endpoint = `tcp:127.0.0.1:${port}`;
    this.#close = close;
  }

  /** @param target an endpoint, tcp: or unix: */
  static async to(target: string): Promise<Proxy> {
    const server = createServer({ noDelay: true }, (client) => proxy.#join(client, target)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new Proxy((server.address() as AddressInfo).port, async () => {
      server.close();
      await once(server, 'close');
    });
    return proxy;
  }

  /** Cuts, and waits until the client has noticed and is back. */
  async interrupt(client: EventEmitter): Promise<void> {
    const connected = once(client, 'connected');
    this.cut();
    await connected;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await this.#close();
  }

  #join(client: Socket, target: string): void {
    this.connections += 1;
    const endpoint = parseEndpoint(target);
    const server = endpoint.transport === 'unix' ? connect(endpoint.path) : connect({ port: endpoint.port, host: endpoint.host, noDelay: true });
    this.#pipe(client, server, (message) => {
      if (typeof message['method'] === 'string') this.methods.push(message['method']);
      return this.fromClient(message);
    });
    this.#pipe(server, client, (message) => this.fromServer(message));
  }

  #pipe(from: Socket, to: Socket, judge: (message: JsonObject) => Verdict): void {
    const framer = new MessageFramer(1 << 28);
    this.#sockets.add(from);
    from.on('error', () => undefined).on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on('data', (chunk: Buffer) => {
      for (const text of framer.push(chunk)) {
        const message = parseJson(text);
        if (!isObject(message)) continue;
        const verdict = judge(message);
        if (verdict === 'forward') to.write(text);
        else if (verdict === 'cut') from.destroy();
        else if (verdict !== 'drop') from.write(JSON.stringify({ id: message['id'] ?? null, ...verdict }));
      }
    });
  }
}
