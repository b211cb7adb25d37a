import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
}

export interface TokenOptions {
  /** Header fields besides `alg`, `kid` and `typ`, or instead of them. */
  header?: Record<string, unknown>;
  /** Signed by this key instead of the issuer's newest. */
  key?: CryptoKey;
  /** A claim that is left out. */
  without?: string;
}

export const TEST_AUDIENCE = 'muon';

/** An OpenID Connect issuer of a spec's own on this machine, which may misbehave. */
export class TestIssuer {
  /** What was asked for, path by path. */
  readonly requests: string[] = [];
  /** Answers a request in place of the issuer. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  private readonly keys: SigningKey[] = [];

  private constructor(
    readonly url: string,
    private readonly server: Server,
  ) {}

  static async start(): Promise<TestIssuer> {
    const server = createServer((request, response) => issuer.serve(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const issuer = new TestIssuer(`http://127.0.0.1:${address.port}`, server);
    await issuer.rotate();
    return issuer;
  }

  get newestKey(): SigningKey {
    const key = this.keys.at(-1);
    if (key === undefined) throw new Error('the issuer has no key');
    return key;
  }

  get publishedKeys(): JWK[] {
    return this.keys.map(({ publicJwk }) => publicJwk);
  }

  /** From now on tokens are signed by a new key; the old ones are published no more. */
  async rotate(algorithm = 'ES256'): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    const kid = `key-${Math.random().toString(36).slice(2)}`;
    const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
    this.keys.splice(0, this.keys.length, { kid, privateKey, publicJwk });
  }

  /** A good token for `sub: ann`, an hour long, but for what is given. */
  async token(claims: JWTPayload = {}, { header = {}, key, without = '' }: TokenOptions = {}): Promise<string> {
    const { kid, privateKey, publicJwk } = this.newestKey;
    const now = Math.floor(Date.now() / 1000);
    const payload: JWTPayload = { iss: this.url, aud: TEST_AUDIENCE, sub: 'ann', iat: now, exp: now + 3600, ...claims };
    Reflect.deleteProperty(payload, without);
    return new SignJWT(payload).setProtectedHeader({ alg: publicJwk.alg ?? '', kid, typ: 'at+jwt', ...header }).sign(key ?? privateKey);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request.url ?? '');
    if (this.answer !== undefined) {
      this.answer(request, response);
      return;
    }
    response.setHeader('content-type', 'application/json');
    if (request.url === '/.well-known/openid-configuration') response.end(JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/jwks` }));
    else if (request.url === '/jwks') response.end(JSON.stringify({ keys: this.publishedKeys }));
    else response.writeHead(404).end();
  }
}
