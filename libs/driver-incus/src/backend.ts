import { MuonError, sleep, withTimeout } from '#core';
import { refuseInsideTransaction } from '#database';
import { backendRefused, backendUnavailable, type Capabilities, type DriverCall } from '#drivers';
import { IncusError, isNotReady, type IncusClient, type RunningOperation } from '#incus';
import { Budget } from './budget.js';
import type { IncusSettings } from './options.js';
import { Throttle } from './throttle.js';

const ELECTION_PAUSE_MS = 500;
/** Nothing was changed, and the cluster may be without a leader of its database, or wait for one who has died. */
const isElecting = (error: unknown): boolean =>
  isNotReady(error) || (error instanceof IncusError && error.kind === 'TIMEOUT' && !error.outcomeUnknown);

/** One Incus cluster as one process sees it: the single way in which every driver call goes. */
export class IncusBackend {
  readonly creates: Throttle;

  constructor(
    readonly backendId: string,
    readonly settings: IncusSettings,
    readonly capabilities: Capabilities,
    readonly client: IncusClient,
  ) {
    this.creates = new Throttle(settings.createsPerMember);
  }

  /**
   * A member that loses its database's leader has another in a few seconds, so the work is begun again meanwhile: all of
   * it may be repeated.
   * @param needs capabilities that the call is UNSUPPORTED without
   */
  async ask<Value>(call: DriverCall, method: string, needs: readonly (keyof Capabilities)[], work: (budget: Budget) => Promise<Value>): Promise<Value> {
    this.admit(call, method, needs);
    const bounded = async (signal: AbortSignal): Promise<Value> => {
      const budget = new Budget(call.timeoutMs, signal);
      for (;;) {
        try {
          return await work(budget);
        } catch (error) {
          const hasTime = budget.leftMs > call.timeoutMs / 3 && budget.leftMs > ELECTION_PAUSE_MS;
          if (!isElecting(error) || !hasTime || signal.aborted) throw this.errorOf(error);
          await sleep(ELECTION_PAUSE_MS, signal);
        }
      }
    };
    return withTimeout('Incus', call.timeoutMs, bounded, call.signal);
  }

  /**
   * @param needs capabilities that the call is UNSUPPORTED without
   * @throws INTERNAL inside an open unit of work, UNSUPPORTED, CANCELLED
   */
  admit(call: DriverCall, method: string, needs: readonly (keyof Capabilities)[]): void {
    refuseInsideTransaction(`Incus driver: ${method}`);
    for (const capability of needs) {
      if (!this.capabilities[capability]) {
        throw new MuonError('UNSUPPORTED', `This backend does not offer "${capability}".`, { data: { backend: this.backendId, capability } });
      }
    }
    if (call.signal.aborted) throw new MuonError('CANCELLED', 'The call was given up before it began.');
  }

  /** @returns whether the operation has ended well; false when it still runs at the end of the call's time */
  async settled(running: RunningOperation, budget: Budget): Promise<boolean> {
    try {
      await running.wait(budget.wait);
      return true;
    } catch (error) {
      if (error instanceof IncusError && error.kind === 'TIMEOUT' && !budget.signal.aborted) return false;
      throw error;
    }
  }

  /** The resource is not there. */
  missing(noun: string, id: string): MuonError {
    return new MuonError('NOT_FOUND', `The backend has no ${noun} "${id}".`, { data: { backend: this.backendId }, fault: 'OPERATOR' });
  }

  /** Something else is there under this id. */
  conflict(noun: string, id: string): MuonError {
    return backendRefused(this.backendId, `The backend has another ${noun} "${id}" than the one that was asked for.`);
  }

  invalidState(message: string): MuonError {
    return new MuonError('INVALID_STATE', message, { data: { backend: this.backendId } });
  }

  /** @param reason what Incus says of it */
  away(id: string, reason?: string): MuonError {
    return backendUnavailable(this.backendId, `The host of "${id}" does not answer${reason === undefined ? '.' : `: ${reason}`}`);
  }

  private errorOf(error: unknown): unknown {
    if (!(error instanceof IncusError)) return error;
    const data = { backend: this.backendId };
    switch (error.kind) {
      case 'NOT_FOUND':
        return new MuonError('NOT_FOUND', `Incus: ${error.message}`, { data, cause: error, fault: 'OPERATOR' });
      case 'CANCELLED':
        return new MuonError('CANCELLED', 'The call to Incus was given up.', { data, cause: error });
      case 'TIMEOUT':
      case 'OPERATION_LOST':
        return new MuonError('TIMEOUT', `Incus: ${error.message}`, { data, cause: error });
      case 'UNAVAILABLE':
        // What was sent may have been done although its answer was lost.
        if (error.outcomeUnknown) return new MuonError('TIMEOUT', `Incus: ${error.message}`, { data, cause: error });
        return backendUnavailable(this.backendId, `Incus: ${error.message}`, error);
      case 'BUSY':
      case 'PRECONDITION_FAILED':
        return backendUnavailable(this.backendId, `Incus: ${error.message}`, error);
      case 'CONFLICT':
      case 'FAILED':
      case 'FORBIDDEN':
      case 'PROTOCOL':
      case 'REFUSED':
        return backendRefused(this.backendId, `Incus: ${error.message}`, error);
    }
  }
}
