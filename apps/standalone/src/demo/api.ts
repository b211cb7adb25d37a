import { createClient, type Client } from 'graphql-ws';

/** A refusal of the API, as a client sees it. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly data: Record<string, unknown>,
  ) {
    super(message);
    this.name = 'Refused';
  }
}

interface Answer<Data> {
  data?: Data | null;
  errors?: { message: string; extensions: { code: string; data?: Record<string, unknown> } }[];
}

const REQUEST_TIMEOUT_MS = 30_000;

/** The demo speaks to Muon over the public API only, as anybody would. */
export class DemoApi {
  private client: Client | undefined;

  constructor(
    readonly url: string,
    readonly token: string,
  ) {}

  as(token: string): DemoApi {
    return new DemoApi(this.url, token);
  }

  /** @throws Refused with the code of the first error */
  async request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const answer = (await response.json()) as Answer<Data>;
    const [error] = answer.errors ?? [];
    if (error !== undefined) throw new Refused(error.extensions.code, error.message, error.extensions.data ?? {});
    if (answer.data == null) throw new Error('the API answered nothing');
    return answer.data;
  }

  /** Follows a subscription until `next` says that it has seen enough, or the time is over. */
  async follow<Data>(query: string, variables: Record<string, unknown>, timeoutMs: number, next: (data: Data) => boolean): Promise<void> {
    this.client ??= createClient({
      url: `${this.url.replace(/^http/, 'ws')}/graphql`,
      connectionParams: { authorization: `Bearer ${this.token}` },
      lazy: true,
    });
    const events = this.client.iterate<Data>({ query, variables });
    const late = setTimeout(() => void events.return?.(), timeoutMs);
    try {
      for await (const { data, errors } of events) {
        if (errors !== undefined) throw new Error(errors[0]?.message ?? 'the subscription failed');
        if (data != null && next(data)) return;
      }
      throw new Error(`nothing came to its end within ${timeoutMs / 1000} s`);
    } catch (error) {
      // A refused subscription arrives as the list of its errors.
      if (Array.isArray(error)) throw new Error((error as { message: string }[]).map((each) => each.message).join(' '), { cause: error });
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  async close(): Promise<void> {
    await this.client?.dispose();
  }
}
