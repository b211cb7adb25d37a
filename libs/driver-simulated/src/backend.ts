import { MuonError, withTimeout, type ErrorCode } from '#core';
import { refuseInsideTransaction } from '#database';
import { backendRefused, backendUnavailable, done, pending, type Capabilities, type DriverCall, type Outcome } from '#drivers';
import { FaultKind } from './fault.js';
import type { SimulatedSettings } from './options.js';
import type { Simulation } from './simulation.js';
import { answerCall, type Answer } from './simulation.sql.js';

/** What a call does: only looks, changes, or ensures that something is absent. */
export type Effect = 'READ' | 'CHANGE' | 'REMOVE';

export interface Request {
  method: string;
  effect: Effect;
  /** Capabilities that it needs. */
  needs: readonly (keyof Capabilities)[];
  /** The resource that it is about, then others that it names. */
  ids?: readonly string[];
  /** What only one change at a time may concern; the resource unless said otherwise. */
  objectId?: string;
  arguments?: Record<string, unknown>;
}

const BUSY_RETRY_MS = 200;

/** One simulated backend as one process sees it: the single way in which every driver call goes. */
export class SimulatedBackend {
  constructor(
    readonly backendId: string,
    readonly settings: SimulatedSettings,
    readonly simulation: Simulation,
  ) {}

  async ask<Value>(call: DriverCall, request: Request): Promise<Outcome<Value>> {
    refuseInsideTransaction(`simulated driver: ${request.method}`);
    for (const capability of request.needs) {
      if (!this.settings.capabilities[capability]) {
        throw new MuonError('UNSUPPORTED', `This backend does not offer "${capability}".`, {
          data: { backend: this.backendId, capability },
        });
      }
    }
    const work = async (signal: AbortSignal): Promise<Outcome<Value>> => this.answer(call, request, signal);
    return withTimeout('The simulated backend', call.timeoutMs, work, call.signal);
  }

  /** For what is never PENDING: looks, and `fence`. */
  async look<Value>(call: DriverCall, request: Request): Promise<Value> {
    const outcome = await this.ask<Value>(call, request);
    if (outcome.state === 'DONE') return outcome.value;
    throw backendUnavailable(this.backendId, 'The simulated backend is still at work on this.');
  }

  private async answer<Value>(call: DriverCall, request: Request, signal: AbortSignal): Promise<Outcome<Value>> {
    const ids = request.ids ?? [];
    const parameters = [
      this.backendId,
      request.method,
      ids,
      request.objectId ?? ids[0] ?? request.method,
      call.idempotencyKey,
      JSON.stringify(request.arguments ?? {}),
      this.mode(request),
    ] as const;
    // Not even once when the signal has aborted already.
    while (!signal.aborted) {
      const [row] = await this.simulation.rows(answerCall, ...parameters);
      const answer = row?.answer ?? {};
      if (answer.settle !== true) return this.outcome<Value>(answer);
      await this.simulation.settle(this.backendId, signal);
    }
    throw new MuonError('CANCELLED', 'The simulated backend was given up.');
  }

  private mode(request: Request): string {
    const { delayMs, delaysByMethod, random } = this.settings;
    const delay = delaysByMethod[request.method] ?? delayMs;
    return JSON.stringify({
      effect: request.effect,
      delayMs: delay === undefined || delay.max === 0 ? null : delay,
      random: random ?? null,
    });
  }

  private async outcome<Value>(answer: Answer): Promise<Outcome<Value>> {
    if (answer.fault !== undefined) return this.suffer(answer.fault);
    if (answer.error !== undefined) throw this.error(answer.error as ErrorCode, answer.message ?? '', answer.detail ?? null);
    if (answer.pendingMs !== undefined) return pending(answer.pendingMs);
    // JSON has no `undefined`: nothing found, and nothing to say.
    return done((answer.value ?? undefined) as Value);
  }

  private async suffer(fault: string): Promise<never> {
    switch (fault) {
      case FaultKind.REFUSED:
        throw backendRefused(this.backendId, 'The simulated backend refused this.');
      case FaultKind.BUSY:
        throw new MuonError('UNAVAILABLE', 'The simulated backend is busy.', {
          data: { backend: this.backendId, retryAfterMs: BUSY_RETRY_MS },
          fault: 'OPERATOR',
        });
      case FaultKind.HANG:
        return new Promise<never>(() => undefined);
      case FaultKind.LOST_ANSWER:
      case FaultKind.LATE_EFFECT:
        throw new MuonError('TIMEOUT', 'The simulated backend did not answer in time.', { data: { backend: this.backendId } });
      case FaultKind.HOST_LOST:
        throw backendUnavailable(this.backendId, 'The host of this resource does not answer.');
      default:
        throw backendUnavailable(this.backendId, 'The simulated backend cannot be reached.');
    }
  }

  private error(code: ErrorCode, message: string, detail: string | null): MuonError {
    const data = { backend: this.backendId };
    return new MuonError(code, message, { data, fault: 'OPERATOR', ...(detail === null ? {} : { detail }) });
  }
}
