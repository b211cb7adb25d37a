import { MuonError, sleep } from '#core';
import { FaultKind, type FaultScript, type FaultState } from '#driver-simulated';
import { backendRefused, type DriverCall, type DriverFactory, type Outcome } from '#drivers';
import { aroundCalls, type PassingCall } from './around-calls.js';

interface Script {
  fault: FaultScript;
  state: FaultState;
}

/** What is later than this comes when it is told to. */
const LONGEST_WAIT_MS = 10_000;
/** Of calls that come late: nobody waits for them with a lease. */
const LATE_TIMEOUT_MS = 60_000;

/**
 * Lets calls go wrong between Muon and drivers of real backends, as the faults of a simulated one do: REFUSED, LOST_ANSWER
 * and LATE_EFFECT. A call that comes late is then made as a whole, and nothing stops it.
 */
export class ScriptedFaults {
  private scripts: Script[] = [];
  /** Each waits for somebody to let it come. */
  private waiting: (() => void)[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private count = 0;

  wrap(factory: DriverFactory): DriverFactory {
    return aroundCalls(factory, (passing) => this.pass(passing));
  }

  add(fault: FaultScript): number {
    this.count += 1;
    const state = { id: this.count, kind: fault.kind, method: fault.method ?? null, resourceId: null, seen: 0, fired: 0 };
    this.scripts.push({ fault, state });
    return this.count;
  }

  states(): FaultState[] {
    return this.scripts.map(({ state }) => state);
  }

  clear(): void {
    this.scripts = [];
  }

  /** Lets what is late come now, and waits for its end. */
  async land(): Promise<void> {
    for (const come of this.waiting.splice(0)) come();
    await Promise.all(this.underWay);
  }

  private async pass(passing: PassingCall): Promise<unknown> {
    const { backendId, call, make } = passing;
    const fault = this.faultOf(passing);
    if (fault === undefined) return make(call);
    if (fault.kind === FaultKind.REFUSED) throw backendRefused(backendId, 'A script of the test refuses this.');
    if (fault.kind === FaultKind.LOST_ANSWER) await make(call);
    else if (fault.kind === FaultKind.LATE_EFFECT) this.delay(passing, fault.delayMs ?? 0);
    else throw new Error(`no fault of kind ${fault.kind} can be made of calls to real drivers`);
    throw new MuonError('TIMEOUT', 'A script of the test has lost the answer.', { data: { backend: backendId } });
  }

  /** The oldest that acts on this call. */
  private faultOf({ method, call }: PassingCall): FaultScript | undefined {
    let acting: FaultScript | undefined;
    for (const { fault, state } of this.scripts) {
      if (fault.method !== undefined && fault.method !== method) continue;
      if (fault.keyContains !== undefined && !call.idempotencyKey.includes(fault.keyContains)) continue;
      state.seen += 1;
      if (acting !== undefined || state.seen < (fault.nth ?? 1) || state.fired >= (fault.times ?? 1)) continue;
      state.fired += 1;
      acting = fault;
    }
    return acting;
  }

  private delay({ call, make }: PassingCall, delayMs: number): void {
    const come = Promise.withResolvers<void>();
    if (delayMs > LONGEST_WAIT_MS) this.waiting.push(come.resolve);
    else setTimeout(come.resolve, delayMs);
    const coming = come.promise.then(() => lateCall(make, call));
    this.underWay.add(coming);
    void coming.finally(() => this.underWay.delete(coming));
  }
}

/** Until the backend has done it or refused it; nobody hears which. */
async function lateCall(make: PassingCall['make'], { idempotencyKey }: DriverCall): Promise<void> {
  const signal = AbortSignal.timeout(LATE_TIMEOUT_MS);
  try {
    for (;;) {
      const outcome = (await make({ idempotencyKey, timeoutMs: LATE_TIMEOUT_MS, signal })) as Outcome<unknown> | undefined;
      if (outcome?.state !== 'PENDING') return;
      await sleep(outcome.retryAfterMs, signal);
    }
  } catch {
    // As of an answer that nobody waits for.
  }
}
