import type { WebSocket } from 'ws';
import type { Authentication } from '../context.js';

/** A client that does not answer our closing within this time is cut off. */
const CLOSING_TIME_MS = 1000;
/** What a close frame can carry, less some for multi-byte letters. */
const MAX_REASON_LENGTH = 100;

/** One open socket: who it belongs to, and the means to end it. */
export class SocketConnection {
  /** Set once the client has signed in. */
  authentication: Authentication | undefined;
  /** Whether the client has answered since the last ping. */
  isAlive = true;

  constructor(
    readonly socket: WebSocket,
    private readonly bufferBytes: number,
  ) {
    socket.on('pong', () => (this.isAlive = true));
  }

  /** False as soon as we close, though the client's frames still arrive: none of them may be heeded. */
  get isOpen(): boolean {
    return this.socket.readyState === this.socket.OPEN;
  }

  /** Ends when the client's side of the network has taken the text, so that a slow client slows down its own sources. */
  send(text: string): Promise<void> {
    if (!this.isOpen) return Promise.resolve();
    if (this.socket.bufferedAmount > this.bufferBytes) {
      this.socket.terminate();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.socket.send(text, (error) => (error == null ? resolve() : reject(error)));
    });
  }

  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.socket.close(code, reason.slice(0, MAX_REASON_LENGTH));
    const timer = setTimeout(() => this.socket.terminate(), CLOSING_TIME_MS);
    timer.unref();
    this.socket.once('close', () => clearTimeout(timer));
  }

  /** Cuts off a client that did not answer the last ping, and pings it otherwise. */
  checkAlive(): void {
    if (!this.isAlive) {
      this.socket.terminate();
      return;
    }
    this.isAlive = false;
    if (this.isOpen) this.socket.ping();
  }
}
