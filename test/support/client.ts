import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';

export interface WireError {
  message: string;
  path?: (string | number)[];
  extensions: { code: string; fault?: string; retryable?: boolean; field?: string; data?: Record<string, unknown>; requestId?: string };
}

export interface WireAnswer {
  status: number;
  data: Record<string, never> | null;
  errors: WireError[];
}

const REQUEST_TIMEOUT_MS = 30_000;

/** Speaks to the public API as any client would. */
export class ApiClient {
  constructor(
    readonly url: string,
    readonly token: string | null,
  ) {}

  as(token: string | null): ApiClient {
    return new ApiClient(this.url, token);
  }

  async post(query: string, variables: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<WireAnswer> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(this.token === null ? {} : { authorization: `Bearer ${this.token}` }),
        ...headers,
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const body = (await response.json()) as { data?: Record<string, never>; errors?: WireError[] };
    return { status: response.status, data: body.data ?? null, errors: body.errors ?? [] };
  }

  /** The data of a request that must succeed. */
  async request<Data>(query: string, variables: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<Data> {
    const { data, errors } = await this.post(query, variables, headers);
    if (errors.length > 0 || data === null) throw new Error(`the request failed: ${JSON.stringify(errors, null, 2)}`);
    return data as Data;
  }

  /** The first error of a request that must fail. */
  async refusal(query: string, variables: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<WireError> {
    const { errors, data } = await this.post(query, variables, headers);
    const [first] = errors;
    if (first === undefined) throw new Error(`the request succeeded: ${JSON.stringify(data)}`);
    return first;
  }

  socket(): Client {
    return createClient({
      url: `${this.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: this.token === null ? {} : { authorization: `Bearer ${this.token}` },
      retryAttempts: 0,
      lazy: true,
    });
  }
}
