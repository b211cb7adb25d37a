import type { Socket } from 'node:net';
import { LimitError, OvsdbError, ProtocolError, RefusedError, TimeoutError, UnavailableError } from '../errors.js';
import { formatJson, isList, isObject, parseJson, type Json, type JsonObject } from './json.js';
import { MessageFramer } from './message-framer.js';

export interface SessionLimits {
  /** Longest message that is accepted, in bytes. */
  readonly maxMessageBytes: number;
  /** How much may wait to be sent, in bytes. */
  readonly maxOutgoingBytes: number;
  /** After this long without a word from the server it is asked for an echo, in milliseconds. */
  readonly keepAliveMs: number;
  /** Without any word for this long after that, the connection is given up, in milliseconds. */
  readonly keepAliveTimeoutMs: number;
}

/** `params` of a notification, as they came. */
export type NotificationListener = (method: string, params: readonly Json[]) => void;

export interface SessionCall<Result> {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /**
   * Makes what the call resolves to. It runs before the next message of the server is looked at, so what it changes is
   * in the order of the wire. @throws ProtocolError, which ends the session
   */
  readonly decode: (result: Json) => Result;
  /**
   * It may change the database: when nobody waits for its answer any more the server is told so (RFC 7047 §4.1.4), and a
   * retired session still waits for it.
   */
  readonly isTransaction?: boolean;
}

interface PendingCall {
  readonly isTransaction: boolean;
  readonly answer: (reply: JsonObject) => void;
  readonly fail: (error: unknown) => void;
}

const KEEP_ALIVE_ID = 'keep-alive';

/**
 * JSON-RPC 1.0 over a connected socket, both sides being client and server (RFC 7047 §4): calls answered in any order,
 * notifications, the server's echo answered (§4.1.11), and an echo of its own to notice a server that has gone silent.
 */
export class RpcSession {
  readonly #socket: Socket;
  readonly #limits: SessionLimits;
  readonly #framer: MessageFramer;
  readonly #onNotification: NotificationListener;
  readonly #pending = new Map<string, PendingCall>();
  readonly #endListeners: ((reason: OvsdbError) => void)[] = [];
  readonly #closed = Promise.withResolvers<void>();
  /** Why it is no longer open. */
  #over: OvsdbError | undefined;
  #hasEnded = false;
  #lastId = 0;
  #corked = false;
  #heardAt = performance.now();
  #isProbing = false;
  #keepAlive: NodeJS.Timeout;

  constructor(socket: Socket, limits: SessionLimits, onNotification: NotificationListener) {
    this.#socket = socket;
    this.#limits = limits;
    this.#framer = new MessageFramer(limits.maxMessageBytes);
    this.#onNotification = onNotification;
    this.#keepAlive = setTimeout(() => this.#probe(), limits.keepAliveMs);
    // Whole messages are written, so waiting for more to send would only delay them.
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.end(new UnavailableError(`the connection was lost: ${error.message}`, error)));
    socket.on('end', () => this.end(new UnavailableError('the server closed the connection')));
    socket.on('close', () => {
      this.end(new UnavailableError('the connection was lost'));
      this.#closed.resolve();
    });
  }

  /** False when it has ended or is retired. */
  get isOpen(): boolean {
    return this.#over === undefined;
  }

  /** Resolves when the socket is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Calls back when the session is no longer open, before its calls reject; at once when it is not. */
  onEnd(listener: (reason: OvsdbError) => void): void {
    if (this.#over === undefined) this.#endListeners.push(listener);
    else listener(this.#over);
  }

  /**
   * Sends a request at once and resolves with its decoded result.
   * @throws RefusedError when the server answers with an error; LimitError when it was not sent. After any other error
   * (TimeoutError, UnavailableError, ProtocolError, ClosedError, the signal's reason) the server may have acted.
   */
  call<Result>(method: string, params: readonly Json[], { timeoutMs, signal, decode, isTransaction = false }: SessionCall<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const id = String((this.#lastId += 1));
    const forget = (): void => {
      this.#pending.delete(id);
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#endIfDone();
    };
    const fail = (error: unknown): void => {
      forget();
      reject(error as Error);
    };
    const giveUp = (error: unknown): void => {
      fail(error);
      if (isTransaction) this.#sendIfPossible({ method: 'cancel', params: [id], id: null });
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer = setTimeout(() => giveUp(new TimeoutError(`${method} was not answered within ${timeoutMs} ms`)), timeoutMs);
    const answer = (reply: JsonObject): void => {
      try {
        const result = decode(resultOf(method, reply));
        forget();
        resolve(result);
      } catch (error) {
        fail(error);
        if (!(error instanceof RefusedError)) throw error;
      }
    };
    try {
      if (this.#over !== undefined) throw this.#over;
      this.#send(JSON.stringify({ method, params, id }));
      this.#pending.set(id, { isTransaction, answer, fail });
      signal?.addEventListener('abort', onAbort, { once: true });
    } catch (error) {
      fail(error);
    }
    return promise;
  }

  /** Ends the session: all calls reject with `reason`, and the socket is closed without further words. */
  end(reason: OvsdbError): void {
    this.#finish(reason);
    this.#hasEnded = true;
    clearTimeout(this.#keepAlive);
    this.#socket.destroy();
    for (const call of this.#pending.values()) call.fail(reason);
  }

  /**
   * For a server that is well and no longer of use: the session takes no more calls and tells nothing more, and ends when
   * the transactions under way are answered or out of time. Other calls reject with `reason`.
   */
  retire(reason: OvsdbError): void {
    this.#finish(reason);
    for (const call of this.#pending.values()) if (!call.isTransaction) call.fail(reason);
    this.#endIfDone();
  }

  #finish(reason: OvsdbError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    for (const listener of this.#endListeners) listener(reason);
  }

  #endIfDone(): void {
    if (this.#over !== undefined && !this.#hasEnded && this.#pending.size === 0) this.end(this.#over);
  }

  #send(text: string): void {
    if (this.#hasEnded && this.#over !== undefined) throw this.#over;
    const waiting = this.#socket.writableLength + Buffer.byteLength(text);
    const { maxOutgoingBytes } = this.#limits;
    if (waiting > maxOutgoingBytes) {
      throw new LimitError('maxOutgoingBytes', maxOutgoingBytes, `${waiting} bytes would wait to be sent`);
    }
    // What is said in one turn of the event loop goes out in one write.
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(text);
  }

  /** For what is a courtesy only. */
  #sendIfPossible(message: JsonObject): void {
    try {
      this.#send(JSON.stringify(message));
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
    }
  }

  #receive(chunk: Buffer): void {
    this.#hear();
    try {
      for (const text of this.#framer.push(chunk)) if (!this.#hasEnded) this.#handle(text);
    } catch (error) {
      this.end(error instanceof OvsdbError ? error : new ProtocolError('the server’s message could not be handled', error));
    }
  }

  #handle(text: string): void {
    const message = parseMessage(text);
    const { method, id, params } = message;
    if (typeof method !== 'string') {
      if (typeof id === 'string') this.#pending.get(id)?.answer(message);
    } else if (id !== null && id !== undefined) {
      this.#answer(method, id, params ?? []);
    } else if (isList(params)) {
      if (this.isOpen) this.#onNotification(method, params);
    } else {
      throw new ProtocolError(`the notification ${method.slice(0, 100)} has no list of params`);
    }
  }

  #answer(method: string, id: Json, params: Json): void {
    const answer = method === 'echo' ? { id, result: params, error: null } : { id, result: null, error: 'unknown method' };
    try {
      this.#send(formatJson(answer));
    } catch (error) {
      // It asks and does not read. Calls that fail of this have been sent, so they must not see "not sent".
      throw new UnavailableError('the server does not take the answers to its requests', error);
    }
  }

  /** Called when there may have been silence for long enough. */
  #probe(): void {
    const { keepAliveMs, keepAliveTimeoutMs } = this.#limits;
    const leftMs = this.#heardAt + keepAliveMs - performance.now();
    if (leftMs > 0) {
      this.#keepAlive = setTimeout(() => this.#probe(), leftMs);
      return;
    }
    this.#isProbing = true;
    this.#sendIfPossible({ method: 'echo', params: [], id: KEEP_ALIVE_ID });
    // When this process itself was held up, the answer lies there unread: read it before judging.
    this.#keepAlive = setTimeout(() => setImmediate(() => this.#judge()), keepAliveTimeoutMs);
  }

  #judge(): void {
    if (!this.#isProbing) return;
    this.end(new UnavailableError(`the server did not answer an echo within ${this.#limits.keepAliveTimeoutMs} ms`));
  }

  /** Any word will do. */
  #hear(): void {
    this.#heardAt = performance.now();
    if (!this.#isProbing) return;
    this.#isProbing = false;
    clearTimeout(this.#keepAlive);
    this.#keepAlive = setTimeout(() => this.#probe(), this.#limits.keepAliveMs);
  }
}

function parseMessage(text: string): JsonObject {
  let message: Json;
  try {
    message = parseJson(text);
  } catch (error) {
    throw new ProtocolError('a message is not JSON', error);
  }
  if (isObject(message)) return message;
  throw new ProtocolError('a message is not a JSON object');
}

/** An error is a string, or an object as in RFC 7047 §3.1. */
function resultOf(method: string, { result, error }: JsonObject): Json {
  if (error === null || error === undefined) {
    if (result === undefined) throw new ProtocolError(`the answer to ${method} has neither result nor error`);
    return result;
  }
  if (typeof error === 'string') throw new RefusedError({ method, error, details: undefined });
  if (!isObject(error) || typeof error['error'] !== 'string') throw new ProtocolError(`the answer to ${method} has an error that is none`);
  const details = error['details'];
  throw new RefusedError({ method, error: error['error'], details: typeof details === 'string' ? details : undefined });
}
