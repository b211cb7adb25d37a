import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { ExitCode } from './exit-code.js';
import { Failure, refusal, type Problem } from './failure.js';
import type { Login } from './settings.js';

const REQUEST_TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;
const PAUSE_MS = 300;

type Variables = Record<string, unknown>;

interface GraphqlError {
  message: string;
  extensions?: Omit<Problem, 'message'>;
}

interface Answer {
  data?: Record<string, unknown> | null;
  errors?: GraphqlError[];
}

/** Speaks to the public API over HTTP. */
export class Client {
  constructor(private login: Login) {}

  get url(): string {
    return this.login.url;
  }

  /** What to present now: of a sign-in by an issuer an access token that still holds. */
  async authorization(): Promise<string> {
    if (this.login.session !== undefined) {
      const { currentSession } = await import('./session.js');
      this.login = await currentSession(this.login);
    }
    return `Bearer ${this.login.token}`;
  }

  /** @throws Failure: REFUSED with what the API said, UNREACHABLE without an answer */
  async query<Data>(text: string, variables: Variables = {}): Promise<Data> {
    return this.send<Data>(text, variables, {});
  }

  /** A lost answer is asked for again: the key makes sure that nothing is done twice. */
  async mutate<Data>(text: string, variables: Variables): Promise<Data> {
    return this.send<Data>(text, variables, { 'idempotency-key': randomUUID() });
  }

  private async send<Data>(query: string, variables: Variables, headers: Record<string, string>): Promise<Data> {
    const body = JSON.stringify({ query, variables });
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.post<Data>(body, headers);
      } catch (error) {
        if (!(error instanceof Failure) || error.exitCode !== ExitCode.UNREACHABLE || attempt === ATTEMPTS) throw error;
        await pause(PAUSE_MS * attempt);
      }
    }
  }

  private async post<Data>(body: string, headers: Record<string, string>): Promise<Data> {
    const { url } = this.login;
    const authorization = await this.authorization();
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        authorization,
        ...headers,
      },
      body,
      // A redirect could carry the token elsewhere.
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    }).catch((error: Error) => {
      throw unreachable(url, reasonOf(error));
    });
    const answer = await response.json().catch(() => undefined) as Answer | undefined;
    if (answer?.errors?.length) throw refusal(answer.errors.map((error) => problemOf(error)));
    if (!answer?.data) throw unreachable(url, `it answered with status ${response.status}, which is not Muon's way`);
    return answer.data as Data;
  }
}

export function unreachable(url: string, reason: string): Failure {
  return new Failure(ExitCode.UNREACHABLE, `No answer from Muon at ${url}: ${reason}.`);
}

function problemOf({ message, extensions }: GraphqlError): Problem {
  return { ...extensions, code: extensions?.code ?? 'INVALID_INPUT', message };
}

/** `fetch` says only that it failed; the cause knows why. */
function reasonOf(error: Error): string {
  const cause = error.cause as (Error & { code?: string }) | undefined;
  if (error.name === 'TimeoutError') return `nothing within ${REQUEST_TIMEOUT_MS / 1000} seconds`;
  return cause?.code ?? cause?.message ?? error.message;
}
