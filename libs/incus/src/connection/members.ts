import type { WebSocket } from 'ws';
import type { Endpoint } from './endpoint.js';
import { IncusError } from './incus-error.js';
import { Transport, type TransportAnswer, type TransportRequest } from './transport.js';

export interface Patience {
  /** How often somebody who waits for an answer makes sure that the member still lives; 3 s if not given. */
  probeIntervalMs?: number;
  /** How long a sign of life may take; 5 s if not given. */
  probeTimeoutMs?: number;
}

const PROBE_INTERVAL_MS = 3000;
const PROBE_TIMEOUT_MS = 5000;
/** Probes without an answer after which a member that takes connections counts as gone, too. */
const SILENT_PROBES = 2;
/** What a WebSocket says of a member that lives and does not have what was asked for. */
const REFUSED = /^Unexpected server response: 4/;

/** An answer, and who gave it. */
export interface MemberAnswer {
  answer: TransportAnswer;
  member: Transport;
}

/**
 * The members by which a cluster is reached: one is asked as long as it can be, then the next, and after the last the first.
 * A host that loses its power closes no connection, so whoever waits longer than usual asks for a sign of life by a new
 * one; without it all that waits there is ended, and is told as a lost connection.
 */
export class Members {
  private readonly members: readonly Transport[];
  private index = 0;
  /** Of each one that is being asked for a sign of life. */
  private readonly probes = new Map<Transport, Promise<void>>();
  private readonly followers = new Map<WebSocket, Transport>();
  private readonly silent = new Map<Transport, number>();
  private readonly probeIntervalMs: number;
  private readonly probeTimeoutMs: number;

  /** @throws RangeError without an endpoint */
  constructor(endpoints: readonly Endpoint[], { probeIntervalMs = PROBE_INTERVAL_MS, probeTimeoutMs = PROBE_TIMEOUT_MS }: Patience = {}) {
    if (endpoints.length === 0) throw new RangeError('A cluster is reached by one endpoint at least.');
    this.members = endpoints.map((endpoint) => new Transport(endpoint));
    this.probeIntervalMs = probeIntervalMs;
    this.probeTimeoutMs = probeTimeoutMs;
  }

  get count(): number {
    return this.members.length;
  }

  /** @throws IncusError as `Transport.send`; another member is asked from then on if this one could not be reached */
  async send(request: TransportRequest): Promise<MemberAnswer> {
    const member = this.current;
    const probing = this.count > 1 ? setInterval(() => void this.probe(member), this.probeIntervalMs) : undefined;
    try {
      return { answer: await member.send(request), member };
    } catch (error) {
      if (error instanceof IncusError && error.neverSent) this.leave(member);
      throw error;
    } finally {
      clearInterval(probing);
    }
  }

  /** @param follows whether it ends when another member is asked: for what is heard from all members through one */
  openWebSocket(path: string, { handshakeTimeoutMs, follows }: { handshakeTimeoutMs: number; follows: boolean }): WebSocket {
    const member = this.current;
    const socket = member.openWebSocket(path, handshakeTimeoutMs);
    if (follows) this.followers.set(socket, member);
    socket.once('close', () => this.followers.delete(socket));
    socket.once('error', ({ message }) => {
      if (!REFUSED.test(message)) this.leave(member);
    });
    return socket;
  }

  /** Asks the next one from now on, unless somebody else has turned away from this one before. */
  leave(member: Transport): void {
    if (this.count === 1 || this.current !== member) return;
    this.index = (this.index + 1) % this.count;
    for (const [socket, followed] of this.followers) if (followed === member) socket.terminate();
  }

  /** Ends all connections. */
  close(): void {
    for (const member of this.members) member.abandon();
  }

  private get current(): Transport {
    return this.members[this.index] as Transport;
  }

  private async probe(member: Transport): Promise<void> {
    const running = this.probes.get(member) ?? this.signOfLife(member).finally(() => this.probes.delete(member));
    this.probes.set(member, running);
    await running;
  }

  private async signOfLife(member: Transport): Promise<void> {
    try {
      await member.send({ method: 'GET', path: '/1.0', timeoutMs: this.probeTimeoutMs, isApart: true });
      this.silent.delete(member);
    } catch (error) {
      const times = (this.silent.get(member) ?? 0) + 1;
      this.silent.set(member, times);
      const isGone = error instanceof IncusError && error.neverSent;
      if (!isGone && times < SILENT_PROBES) return;
      this.silent.delete(member);
      this.leave(member);
      member.abandon();
    }
  }
}
