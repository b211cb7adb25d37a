import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

export interface GraphiqlOptions {
  /**
   * Put into the headers editor, so that a developer need not sign in first; only for browsers that name this machine itself.
   * Never give one outside a laptop.
   */
  token?: string;
  /** What the editor shows first. */
  defaultQuery?: string;
}

const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  'font-src data:',
  "connect-src 'self'",
  'worker-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
];

/** What a bearer token may consist of; anything else could break out of the page's script. */
const TOKEN = /^[\w.~+/=-]+$/;

/** GraphiQL at `/graphiql`: one page that holds all it needs, under a policy that lets it load nothing from elsewhere. */
export function registerGraphiql(scope: FastifyInstance, endpoint: string, options: GraphiqlOptions): void {
  if (options.token !== undefined && !TOKEN.test(options.token)) throw new Error('the token for GraphiQL is no bearer token');
  const { token, ...withoutToken } = options;
  const pages = new Map<boolean, Promise<{ html: string; policy: string }>>();
  scope.get('/graphiql', async ({ headers }, reply) => {
    // A page of somebody else may have a name that leads here, and would read the token; the browser then says that name.
    const isTold = token !== undefined && namesThisMachine(headers.host);
    const page = pages.get(isTold) ?? renderPage(endpoint, isTold ? options : withoutToken);
    pages.set(isTold, page);
    const { html, policy } = await page;
    return reply
      .headers({
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': policy,
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      })
      .send(html);
  });
}

function namesThisMachine(host = ''): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i.test(host);
}

/** The page is 9 MB of text, so it is loaded at the first request only. */
async function renderPage(endpoint: string, { token, defaultQuery }: GraphiqlOptions): Promise<{ html: string; policy: string }> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const credential = { Authorization: `Bearer ${token}` };
  const html = renderGraphiQL({
    title: 'Muon GraphiQL',
    endpoint,
    subscriptionsProtocol: 'WS',
    ...(defaultQuery === undefined ? {} : { defaultQuery }),
    // The page does not send its headers when it opens a socket, so the token is given for both.
    ...(token === undefined ? {} : { headers: JSON.stringify(credential, null, 2), connectionParams: credential }),
  });
  const hashes = inlineScripts(html).map((script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  return { html, policy: [...POLICY, `script-src ${hashes.join(' ')}`].join('; ') };
}

/** Scripts as a browser finds them: from `<script>` to the next `</script>`. */
function inlineScripts(html: string): string[] {
  return [...html.matchAll(/<script>([^]*?)<\/script>/g)].map(([, script]) => script ?? '');
}
