import { generateKeyPair, exportSPKI, importJWK, SignJWT } from 'jose';
import { createSecretKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Authenticator } from '#identity';
import { signInBench, TEST_ORIGIN, TestIssuer, type SignInBench } from '#testing';

let bench: SignInBench;
let server: TestIssuer;
let stranger: TestIssuer;
let process: Authenticator;

beforeAll(async () => {
  bench = await signInBench();
  ({ server } = await bench.issuer());
  stranger = await TestIssuer.start();
  process = await bench.process({ coolDownMs: 0 });
});
afterAll(async () => {
  await stranger.close();
  await bench.close();
});

const now = (): number => Math.floor(Date.now() / 1000);
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The same token with another header or payload, and the signature of the first. */
async function altered(change: { header?: object; payload?: object }): Promise<string> {
  const [header = '', payload = '', signature = ''] = (await server.token()).split('.');
  const read = (text: string): object => JSON.parse(Buffer.from(text, 'base64url').toString()) as object;
  return `${part({ ...read(header), ...change.header })}.${part({ ...read(payload), ...change.payload })}.${signature}`;
}

/** Signed with HMAC by what everybody can read: the public key, in the form that a careless verifier would take for a secret. */
async function confused(form: 'PEM' | 'JWK'): Promise<string> {
  const jwk = server.newestKey.publicJwk;
  const text = form === 'JWK' ? JSON.stringify(jwk) : await exportSPKI((await importJWK(jwk, 'ES256')) as CryptoKey);
  return new SignJWT({ iss: server.url, aud: 'muon', sub: 'ann', iat: now(), exp: now() + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: server.newestKey.kid })
    .sign(createSecretKey(Buffer.from(text)));
}

describe('a token of an issuer', () => {
  it('is taken when nothing is wrong with it', async () => {
    const access = await process.authenticate(await server.token({ name: 'Ann' }), TEST_ORIGIN);
    expect(access.principal).toMatchObject({ kind: 'USER', name: 'Ann' });
    expect(access.filter('principal')).toEqual([false, [], []]);
  });

  it.each<[string, string, () => string | Promise<string>]>([
    ['forged by a key of the forger’s with the kid of the issuer’s', 'SIGNATURE', async () => server.token({}, { key: (await generateKeyPair('ES256')).privateKey })],
    ['with other claims than were signed', 'SIGNATURE', () => altered({ payload: { sub: 'owner' } })],
    ['with another kid than was signed', 'KEY', () => altered({ header: { kid: 'mine' } })],
    ['that brings its own key', 'SIGNATURE', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      return server.token({}, { key: privateKey, header: { jwk: stranger.newestKey.publicJwk, jku: `${stranger.url}/jwks`, x5u: stranger.url } });
    }],
    ['without a signature', 'ALGORITHM', () => `${part({ alg: 'none' })}.${part({ iss: server.url, aud: 'muon', sub: 'ann', iat: now(), exp: now() + 60 })}.`],
    ['without a signature, in other letters', 'ALGORITHM', () => `${part({ alg: 'nOnE' })}.${part({ iss: server.url, aud: 'muon', sub: 'ann', iat: now(), exp: now() + 60 })}.`],
    ['signed with HMAC by the public key as PEM', 'ALGORITHM', () => confused('PEM')],
    ['signed with HMAC by the public key as JWK', 'ALGORITHM', () => confused('JWK')],
    ['whose algorithm is a property of every object', 'ALGORITHM', () => altered({ header: { alg: 'constructor' } })],
    ['of a way of signing that the issuer may not use', 'ALGORITHM', async () => {
      const { privateKey } = await generateKeyPair('ES384');
      return server.token({}, { key: privateKey, header: { alg: 'ES384' } });
    }],
    ['of a way of signing that fits no key of the issuer', 'KEY', async () => {
      const { privateKey } = await generateKeyPair('RS256');
      return server.token({}, { key: privateKey, header: { alg: 'RS256' } });
    }],
    ['with a critical header that nobody knows', 'ALGORITHM', () => altered({ header: { crit: ['urn:unknown'], 'urn:unknown': true } })],
    ['that has expired', 'EXPIRED', () => server.token({ exp: now() - 31 })],
    ['that is not valid yet', 'NOT_YET_VALID', () => server.token({ nbf: now() + 120 })],
    ['for another audience', 'ISSUER_OR_AUDIENCE', () => server.token({ aud: 'other' })],
    ['for no audience', 'MALFORMED', () => altered({ payload: { aud: undefined } })],
    ['of an issuer that nobody trusts', 'ISSUER_OR_AUDIENCE', () => stranger.token()],
    ['of an issuer that nobody trusts, in the name of one that is trusted', 'KEY', () => stranger.token({ iss: server.url })],
    ['whose issuer differs by a slash', 'ISSUER_OR_AUDIENCE', () => server.token({ iss: `${server.url}/` })],
    ['that never expires', 'CLAIMS', () => server.token({}, { without: 'exp' })],
    ['that does not say when it was issued', 'CLAIMS', () => server.token({}, { without: 'iat' })],
    ['without a subject', 'CLAIMS', () => server.token({}, { without: 'sub' })],
    ['with a subject that is no text', 'CLAIMS', () => server.token({ sub: { toString: 'ann' } as unknown as string })],
    ['with a subject too long', 'CLAIMS', () => server.token({ sub: 'a'.repeat(256) })],
    ['with a subject of control characters', 'CLAIMS', () => server.token({ sub: 'ann\u0000' })],
    ['with groups that are no list', 'CLAIMS', () => server.token({ groups: { admin: true } })],
    ['with more groups than are heeded', 'CLAIMS', () => server.token({ groups: Array.from({ length: 501 }, (_, index) => `g${index}`) })],
    ['that is a logout token', 'TYPE', () => server.token({}, { header: { typ: 'logout+jwt' } })],
    ['that is huge', 'TOO_LARGE', () => server.token({ padding: 'x'.repeat(9000) })],
    ['of parts that are no JSON', 'MALFORMED', () => 'aaaa.bbbb.cccc'],
    ['whose payload is a list', 'MALFORMED', () => `${part({ alg: 'ES256' })}.${part([1])}.aaaa`],
    ['with many audiences', 'MALFORMED', () => server.token({ aud: Array.from({ length: 21 }, () => 'muon') })],
  ])('is refused: one %s (%s)', async (_what, reason, make) => {
    await expect(process.authenticate(await make(), TEST_ORIGIN)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', data: { reason } });
  });

  it('is no other kind of thing: what is no token at all is told apart from nothing', async () => {
    for (const text of ['', 'x', 'a.b', 'a.b.c.d.e', 'muon_x', '..']) {
      await expect(process.authenticate(text, TEST_ORIGIN)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
  });

  it('makes nobody when it is refused', async () => {
    const [row] = await bench.room.database.dataSource.query<{ subjects: string[] }[]>('SELECT array_agg(subject) AS subjects FROM principal');
    expect(row?.subjects).toEqual(['ann']);
  });
});
