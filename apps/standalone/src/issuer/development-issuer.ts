import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import type { Provider } from 'oidc-provider';
import { PAGE_POLICY, peoplePage, problemPage } from './pages.js';
import { PEOPLE } from './people.js';
import { issuerKeys, makeProvider } from './provider.js';
import { IssuerStore } from './store.js';

const HOST = '127.0.0.1';
const INTERACTION = /^\/interaction\/[A-Za-z0-9_-]{1,64}$/;
/** Where a sign-in begins. */
const BEGINNING = /^\/(auth|device)(\?|$)/;
const MAX_FORM_BYTES = 1024;

export interface DevelopmentIssuerOptions {
  /** Where its keys are kept, and who is signed in. */
  dataDirectory: string;
  /** Another one is taken when it is in use. */
  port: number;
}

export interface DevelopmentIssuer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves an OpenID Connect issuer on this machine alone, in this process: a real one in all but that it asks for no
 * password, so that signing in can be tried without a directory.
 */
export async function startDevelopmentIssuer({ dataDirectory, port }: DevelopmentIssuerOptions): Promise<DevelopmentIssuer> {
  const [keys, store] = [await issuerKeys(dataDirectory), await IssuerStore.open(join(dataDirectory, 'issuer-sessions.json'))];
  const server = createServer();
  const authority = `${HOST}:${await listen(server, port)}`;
  const url = `http://${authority}`;
  const provider = makeProvider(url, keys, store);
  const answer = provider.callback();
  server.on('request', (request, response) => {
    response.setHeader('x-content-type-options', 'nosniff');
    // Whoever was picked last in this browser makes room for the next.
    if (request.method === 'GET' && BEGINNING.test(request.url ?? '')) delete request.headers.cookie;
    // A page of somebody else may have a name that leads here; the browser then says that name.
    if (request.headers.host !== authority) refuse(response, 421, `This issuer answers at ${url} only.`);
    else if (INTERACTION.test(request.url ?? '')) pick(provider, request, response).catch(() => refuse(response, 400, 'This sign-in has ended; begin again.'));
    else void answer(request, response);
  });
  return {
    url,
    async close() {
      server.close();
      server.closeAllConnections();
      await store.save();
    },
  };
}

async function listen(server: Server, port: number): Promise<number> {
  try {
    await once(server.listen(port, HOST), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    await once(server.listen(0, HOST), 'listening');
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** Shows whom to pick, and goes on with who was picked. The cookie of the sign-in says which one it is. */
async function pick(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { uid } = await provider.interactionDetails(request, response);
  const path = `/interaction/${uid}`;
  if (request.method !== 'POST') {
    send(response, 200, peoplePage(path));
    return;
  }
  if (Number(request.headers['content-length'] ?? Number.NaN) > MAX_FORM_BYTES || request.headers['content-length'] === undefined) {
    refuse(response, 413, 'The form is too long.');
    return;
  }
  const subject = new URLSearchParams(await readAll(request)).get('subject');
  if (!PEOPLE.some((person) => person.subject === subject) || subject === null) {
    refuse(response, 400, 'There is nobody of that name.');
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: subject }, consent: {} }, { mergeWithLastSubmission: false });
}

function refuse(response: ServerResponse, status: number, why: string): void {
  if (!response.headersSent) send(response, status, problemPage(String(status), why));
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'content-security-policy': PAGE_POLICY }).end(body);
}
