import type { WebSocket } from 'ws';
import { backoffMs, sleep } from '#core';
import { IncusError } from '../connection/incus-error.js';
import type { Session } from '../connection/session.js';
import type { EventType, IncusEvent } from './event.js';

export interface EventListener {
  /** After each connection: events of the time before are lost, so read what you watch. */
  onConnected: () => void;
  onEvent: (event: IncusEvent) => void;
  /** It connects again by itself. */
  onDisconnected?: (error: IncusError) => void;
}

export interface EventOptions {
  types?: readonly EventType[];
  /** Of the session's project only, or of all. */
  allProjects?: boolean;
  /** Silence after which a connection is asked whether it lives; as long again, and it is given up. */
  heartbeatMs?: number;
}

const HEARTBEAT_MS = 15_000;
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 10_000;

/** Events of all members, heard through one (`/1.0/events`); connects again until it is closed. */
export class EventStream {
  private readonly ending = new AbortController();
  private readonly running: Promise<void>;

  constructor(
    private readonly session: Session,
    private readonly listener: EventListener,
    private readonly options: EventOptions = {},
  ) {
    this.running = this.run();
  }

  /** Ends it; afterwards the listener is not called any more. */
  async close(): Promise<void> {
    this.ending.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.ending;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const error = await this.connection(() => (attempt = 0));
      if (signal.aborted) return;
      this.listener.onDisconnected?.(error);
      await sleep(backoffMs(attempt, BACKOFF_BASE_MS, BACKOFF_MAX_MS), signal);
    }
  }

  /** Ends when the connection does, with the reason. */
  private async connection(onOpen: () => void): Promise<IncusError> {
    const { types = ['lifecycle', 'operation'], allProjects = false, heartbeatMs = HEARTBEAT_MS } = this.options;
    const query = { type: types.join(','), ...(allProjects ? { 'all-projects': 'true' } : {}) };
    const socket = this.session.openWebSocket(['events'], query, true);
    const end = (): void => socket.terminate();
    this.ending.signal.addEventListener('abort', end, { once: true });
    const heartbeat = watch(socket, heartbeatMs);
    try {
      return await new Promise<IncusError>((resolve) => {
        let reason = 'it was closed';
        socket.once('open', () => {
          onOpen();
          this.listener.onConnected();
        });
        socket.on('message', (data: Buffer) => {
          if (this.ending.signal.aborted) return;
          const event = parseEvent(data);
          if (event !== undefined) this.listener.onEvent(event);
        });
        socket.on('error', (error) => (reason = error.message));
        socket.once('close', () => resolve(new IncusError('UNAVAILABLE', `The connection for events ended: ${reason}`)));
      });
    } finally {
      clearInterval(heartbeat);
      this.ending.signal.removeEventListener('abort', end);
    }
  }
}

/** A host that loses its power closes nothing: who does not answer a ping is gone. */
function watch(socket: WebSocket, heartbeatMs: number): NodeJS.Timeout {
  let heard = true;
  const hear = (): void => void (heard = true);
  socket.on('open', hear);
  socket.on('message', hear);
  socket.on('pong', hear);
  return setInterval(() => {
    if (socket.readyState !== socket.OPEN) return;
    if (!heard) return socket.terminate();
    heard = false;
    socket.ping();
  }, heartbeatMs);
}

function parseEvent(data: Buffer): IncusEvent | undefined {
  try {
    const event = JSON.parse(data.toString()) as IncusEvent | null;
    return event?.type === 'lifecycle' || event?.type === 'operation' ? event : undefined;
  } catch {
    return undefined;
  }
}
