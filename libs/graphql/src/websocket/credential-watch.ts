import { withTimeout, type Logger } from '#core';
import type { Authentication, Authenticator } from '../context.js';
import type { SocketConnection } from './connection.js';

const TICK_MS = 1000;
const PING_EVERY_TICKS = 12;
const CHECK_TIMEOUT_MS = 5000;
/** How long sockets live on while nobody can say whether their credentials still hold. */
const MAX_UNCHECKED_MS = 30_000;

/** The credential does not hold, or not any more. */
export const FORBIDDEN = 4403;
/** Clients of the protocol connect again after this one. */
export const TRY_AGAIN_LATER = 1013;

/**
 * Ends sockets when their credentials end. One timer serves all sockets of the process, and one question a second, about
 * all their credentials together, goes to the authenticator.
 */
export class CredentialWatch {
  readonly #connections = new Set<SocketConnection>();
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #isChecking = false;
  #lastChecked = Date.now();

  constructor(
    private readonly authenticator: Authenticator,
    private readonly logger: Logger,
  ) {}

  get size(): number {
    return this.#connections.size;
  }

  add(connection: SocketConnection): void {
    this.#connections.add(connection);
    connection.socket.once('close', () => this.#remove(connection));
    if (this.#timer === undefined) {
      this.#lastChecked = Date.now();
      this.#timer = setInterval(() => this.#tick(), TICK_MS);
      this.#timer.unref();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #remove(connection: SocketConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.stop();
  }

  #tick(): void {
    this.#ticks += 1;
    const now = Date.now();
    for (const connection of this.#connections) {
      const expiresAt = connection.authentication?.expiresAt;
      if (expiresAt !== undefined && expiresAt.getTime() <= now) connection.close(FORBIDDEN, 'The credential has expired.');
      if (this.#ticks % PING_EVERY_TICKS === 0) connection.checkAlive();
    }
    if (!this.#isChecking) void this.#check();
  }

  /** Never rejects: a failing check is logged, and ends the sockets only when it goes on failing. */
  async #check(): Promise<void> {
    this.#isChecking = true;
    try {
      const held = new Set<Authentication>();
      for (const { authentication } of this.#connections) if (authentication !== undefined) held.add(authentication);
      if (held.size > 0) {
        const found = await withTimeout('the check of credentials', CHECK_TIMEOUT_MS, () => this.authenticator.findInvalid([...held]));
        // By principal, so that none of several sockets of one caller is left when only one of them is named.
        const invalid = new Set(found.map(({ principal }) => principal));
        this.#close(({ authentication }) => invalid.has(authentication?.principal), FORBIDDEN, 'The credential is no longer valid.');
      }
      this.#lastChecked = Date.now();
    } catch (error) {
      this.logger.warn({ err: error }, 'the credentials of open sockets could not be checked');
      if (Date.now() - this.#lastChecked > MAX_UNCHECKED_MS) {
        this.#close(() => true, TRY_AGAIN_LATER, 'The credential cannot be checked now.');
      }
    } finally {
      this.#isChecking = false;
    }
  }

  #close(ends: (connection: SocketConnection) => boolean, code: number, reason: string): void {
    for (const connection of this.#connections) {
      if (connection.authentication !== undefined && ends(connection)) connection.close(code, reason);
    }
  }
}
