import { sleep } from '#core';
import { Failure } from '../failure.js';

const PAUSE_MS = 50;

/** Asks again and again until there is an answer. @throws Failure that says what did not come, and the last error */
export async function until<T>(what: string, timeoutMs: number, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(PAUSE_MS);
  }
  const reason = last instanceof Error ? `: ${last.message}` : '';
  throw new Failure(`${what} was not so within ${timeoutMs / 1000} s${reason}`);
}
