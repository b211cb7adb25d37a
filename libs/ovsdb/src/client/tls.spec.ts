import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509';
import { OvsdbClient, type ClientEvents, type TlsOptions } from '../index.js';
import { freePort, ovsdbIsMissing, startServer, type TestServer } from '../testing/ovsdb-server.js';

const crypto = webcrypto as unknown as Crypto;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

interface Identity {
  readonly certificate: X509Certificate;
  readonly keys: CryptoKeyPair;
}

const validity = (): { notBefore: Date; notAfter: Date } => ({ notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 3_600_000) });
const newKeys = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

async function authority(): Promise<Identity> {
  const keys = await newKeys();
  const extensions = [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)];
  return { keys, certificate: await X509CertificateGenerator.createSelfSigned({ name: 'CN=authority', keys, ...validity(), signingAlgorithm: ALGORITHM, extensions }) };
}

async function issue(by: Identity, name: string, addresses: string[] = []): Promise<Identity> {
  const keys = await newKeys();
  const extensions = addresses.length === 0 ? [] : [new SubjectAlternativeNameExtension(addresses.map((value) => ({ type: 'ip' as const, value })))];
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: by.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: by.keys.privateKey,
    ...validity(),
    signingAlgorithm: ALGORITHM,
    extensions,
  });
  return { keys, certificate };
}

const keyPem = async ({ keys }: Identity): Promise<string> => PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');

describe.skipIf(ovsdbIsMissing)('over TLS', () => {
  let folder: string;
  let ca: Identity;
  let named: { server: TestServer; endpoint: string };
  /** As `ovs-pki` makes it: its certificate holds no name. */
  let nameless: { server: TestServer; endpoint: string };
  let tls: TlsOptions;

  beforeAll(async () => {
    cryptoProvider.set(crypto);
    folder = await mkdtemp(join(tmpdir(), 'ovsdb-tls-'));
    ca = await authority();
    named = await serve('named', await issue(ca, 'server', ['127.0.0.1']));
    nameless = await serve('nameless', await issue(ca, 'server'));
    const client = await issue(ca, 'client');
    tls = { ca: ca.certificate.toString('pem'), certificate: client.certificate.toString('pem'), privateKey: await keyPem(client) };
  });
  afterAll(async () => {
    await Promise.all([named, nameless].map(({ server }) => server.remove()));
    await rm(folder, { recursive: true });
  });

  async function serve(name: string, identity: Identity): Promise<{ server: TestServer; endpoint: string }> {
    const file = async (kind: string, text: string): Promise<string> => {
      const path = join(folder, `${name}-${kind}.pem`);
      await writeFile(path, text);
      return path;
    };
    const port = await freePort();
    const options = [
      `--private-key=${await file('key', await keyPem(identity))}`,
      `--certificate=${await file('certificate', identity.certificate.toString('pem'))}`,
      `--ca-cert=${await file('ca', ca.certificate.toString('pem'))}`,
      `--remote=pssl:${port}:127.0.0.1`,
    ];
    return { server: await startServer({ options }), endpoint: `ssl:127.0.0.1:${port}` };
  }

  const open = ({ endpoint }: { endpoint: string }, options: TlsOptions): OvsdbClient =>
    new OvsdbClient({ database: 'Play', endpoints: [endpoint], tls: options });
  async function databases(at: { endpoint: string }, options: TlsOptions): Promise<string[]> {
    await using client = open(at, options);
    return await client.databases();
  }
  /** Why the first attempt failed. */
  async function failure(at: { endpoint: string }, options: TlsOptions): Promise<string> {
    await using client = open(at, options);
    const [{ error }] = (await once(client, 'failed')) as ClientEvents['failed'];
    return error.message;
  }

  it('both sides know each other by their certificates', async () => {
    expect(await databases(named, tls)).toEqual(['Play', '_Server']);
  });

  it('refuses a server of another authority', async () => {
    const stranger = await authority();
    expect(await failure(named, { ...tls, ca: stranger.certificate.toString('pem') })).toContain('certificate');
  });

  it('refuses a server of another name, unless any name will do', async () => {
    expect(await failure(nameless, tls)).toContain('127.0.0.1');
    expect(await failure(named, { ...tls, serverName: 'db.example.test' })).toContain('db.example.test');
    expect(await databases(nameless, { ...tls, serverName: false })).toEqual(['Play', '_Server']);
  });

  it('is refused by the server without a certificate', async () => {
    expect(await failure(named, { ca: tls.ca as string })).toMatch(/closed|lost|alert/);
  });
});
