import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import { freePort } from './ovsdb-server.js';

const crypto = webcrypto as unknown as Crypto;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

const validity = (): { notBefore: Date; notAfter: Date } => ({ notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 3_600_000) });
const newKeys = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

/** In PEM. */
export interface TestIdentity {
  readonly certificate: string;
  readonly privateKey: string;
}

/** Signs certificates of servers and clients, for an hour. */
export class TestAuthority {
  private constructor(
    private readonly keys: CryptoKeyPair,
    private readonly certificate: X509Certificate,
    private readonly folder: string,
  ) {}

  static async create(): Promise<TestAuthority> {
    cryptoProvider.set(crypto);
    const keys = await newKeys();
    const extensions = [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)];
    const certificate = await X509CertificateGenerator.createSelfSigned({ name: 'CN=authority', keys, ...validity(), signingAlgorithm: ALGORITHM, extensions });
    return new TestAuthority(keys, certificate, await mkdtemp(join(tmpdir(), 'ovsdb-tls-')));
  }

  get pem(): string {
    return this.certificate.toString('pem');
  }

  /** @param addresses that the certificate holds; those that `ovs-pki` makes hold none */
  async issue(name: string, addresses: string[] = []): Promise<TestIdentity> {
    const { privateKey, publicKey } = await newKeys();
    const extensions = addresses.length === 0 ? [] : [new SubjectAlternativeNameExtension(addresses.map((value) => ({ type: 'ip' as const, value })))];
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: this.certificate.subject,
      publicKey,
      signingKey: this.keys.privateKey,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      extensions,
    });
    return {
      certificate: certificate.toString('pem'),
      privateKey: PemConverter.encode(await crypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY'),
    };
  }

  /** Options of an ovsdb-server(1) that also listens with TLS on the loopback, and where that is. */
  async server(name: string, identity: TestIdentity): Promise<{ options: string[]; endpoint: string }> {
    const file = async (kind: string, text: string): Promise<string> => {
      const path = join(this.folder, `${name}-${kind}.pem`);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    const port = await freePort();
    const options = [
      `--private-key=${await file('key', identity.privateKey)}`,
      `--certificate=${await file('certificate', identity.certificate)}`,
      `--ca-cert=${await file('ca', this.pem)}`,
      `--remote=pssl:${port}:127.0.0.1`,
    ];
    return { options, endpoint: `ssl:127.0.0.1:${port}` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}
