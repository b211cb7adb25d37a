import { typeidUnboxed } from 'typeid-js';
import { expect, type TestContext } from 'vitest';
import { MuonError, sleep, type ErrorCode } from '#core';
import type { DriverCall, Outcome, Ownership } from '../call.js';
import type { Capabilities } from '../capabilities.js';
import type { Driver } from '../driver.js';
import { Skips } from './skips.js';
import type { ConformanceHooks, ConformanceSubject, Contract } from './subject.js';

const CALL_TIMEOUT_MS = 30_000;
const MAX_WAIT_MS = 250;

export type Attempt<Value> = (call: DriverCall) => Promise<Outcome<Value>>;

/** Who is examined, what is left out of it, and how it is called. */
export class Examiner {
  private readonly owner: Ownership = {
    installationId: typeidUnboxed('installation'),
    tenantId: typeidUnboxed('tenant'),
    projectId: typeidUnboxed('project'),
  };
  /** What was left out, and why. */
  readonly skips = new Skips();
  private opened: ConformanceSubject | undefined;

  /** @param contracts those that are examined */
  constructor(readonly contracts: readonly Contract[]) {}

  get ownership(): Ownership {
    const { installationId } = this.subject;
    return installationId === undefined ? this.owner : { ...this.owner, installationId };
  }

  get subject(): ConformanceSubject {
    if (this.opened === undefined) throw new Error('the subject of the examination was not set up');
    return this.opened;
  }

  set subject(subject: ConformanceSubject | undefined) {
    this.opened = subject;
  }

  get driver(): Driver {
    return this.subject.driver;
  }

  get host(): string {
    return this.subject.hostNames[0];
  }

  /** Skips the test, visibly, when the backend cannot do this by its own declaration. */
  needs(context: TestContext, ...capabilities: (keyof Capabilities)[]): void {
    for (const capability of capabilities) {
      if (!this.driver.capabilities[capability]) this.skip(context, `the backend does not offer "${capability}"`);
    }
  }

  hook<Name extends keyof ConformanceHooks>(context: TestContext, name: Name): NonNullable<ConformanceHooks[Name]> {
    const found = this.subject.hooks[name];
    if (found === undefined) this.skip(context, `the set-up offers no "${name}"`);
    return found as NonNullable<ConformanceHooks[Name]>;
  }

  otherHost(context: TestContext): string {
    const other = this.subject.hostNames[1];
    if (other === undefined) this.skip(context, 'the set-up offers only one host');
    return other as string;
  }

  skip(context: TestContext, reason: string): never {
    this.skips.add(context.task.name, reason);
    return context.skip(reason);
  }

  call(overrides: Partial<DriverCall> = {}): DriverCall {
    return {
      idempotencyKey: typeidUnboxed('call'),
      timeoutMs: CALL_TIMEOUT_MS,
      signal: new AbortController().signal,
      ...overrides,
    };
  }

  /** Repeats one call, under one key, until it is DONE, as an operation's step does. */
  async finish<Value>(attempt: Attempt<Value>, call: DriverCall = this.call()): Promise<Value> {
    const deadline = Date.now() + this.subject.patienceMs;
    for (;;) {
      const outcome = await attempt(call);
      if (outcome.state === 'DONE') return outcome.value;
      expect(outcome.retryAfterMs, 'retryAfterMs of a PENDING answer').toBeGreaterThan(0);
      if (Date.now() > deadline) throw new Error(`still PENDING after ${this.subject.patienceMs} ms`);
      await sleep(Math.min(outcome.retryAfterMs, MAX_WAIT_MS));
    }
  }

  /** Looks again until it is so. A backend that asks to be asked later, as while its own cluster elects, is. */
  async eventually(what: string, look: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + this.subject.patienceMs;
    for (;;) {
      let refusal: MuonError | undefined;
      const isSo = await look().catch((error: unknown) => {
        if (!(error instanceof MuonError) || !error.retryable) throw error;
        refusal = error;
        return false;
      });
      if (isSo) return;
      if (Date.now() > deadline) throw new Error(`not within ${this.subject.patienceMs} ms: ${what}`, { cause: refusal });
      await sleep(50);
    }
  }

  /** The promise fails with one of these codes. @returns the error */
  async refused(promise: Promise<unknown>, ...codes: ErrorCode[]): Promise<MuonError> {
    const error: unknown = await promise.then(
      (value) => new Error(`it answered ${JSON.stringify(value)}`),
      (reason: unknown) => reason,
    );
    if (!(error instanceof MuonError)) throw new Error(`expected ${codes.join(' or ')}`, { cause: error });
    expect(codes, error.message).toContain(error.code);
    return error;
  }

  /**
   * The call is refused with this code. One that is refused because it is to be asked later, as while the backend's own
   * cluster elects, is asked again. @returns the error
   */
  async refusedInTheEnd(code: ErrorCode, make: (call: DriverCall) => Promise<unknown>): Promise<MuonError> {
    const deadline = Date.now() + this.subject.patienceMs;
    for (;;) {
      const error = await this.refused(make(this.call()), ...(Date.now() > deadline ? [code] : [code, 'TIMEOUT' as const, 'UNAVAILABLE' as const]));
      if (error.code === code) return error;
      await sleep(MAX_WAIT_MS);
    }
  }
}
