import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createCertificateAuthority,
  issueClientCertificate,
  issueServerCertificate,
  type CertificateAndKey,
} from './certificate.js';

/** Its checks are skipped, and shown as skipped, where openssl is missing; CI makes sure that it is there. */
const opensslMissing = spawnSync('openssl', ['version']).status !== 0;

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const now = new Date('2026-11-23T12:00:00.700Z');

let folder: string;
let authority: CertificateAndKey;
let other: CertificateAndKey;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muon-certificates-'));
  authority = await createCertificateAuthority({ commonName: 'kubernetes-ca', validDays: 3_650 });
  other = await createCertificateAuthority({ commonName: 'kubernetes-ca', validDays: 3_650 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const client = (options: Partial<Parameters<typeof issueClientCertificate>[1]> = {}) =>
  issueClientCertificate(authority, { commonName: 'usr_1', organizations: ['muon:owners'], validMinutes: 480, ...options });
const server = (options: Partial<Parameters<typeof issueServerCertificate>[1]> = {}) =>
  issueServerCertificate(authority, {
    commonName: 'kube-apiserver',
    dnsNames: ['kubernetes', 'api.example.test', 'localhost'],
    ipAddresses: ['10.96.0.1', '127.0.0.1', 'fd00::1'],
    validMinutes: 480,
    ...options,
  });

function openssl(...parameters: string[]): string {
  return execFileSync('openssl', parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function verify(leafPem: string, purpose: 'sslclient' | 'sslserver', root = authority): { ok: boolean; says: string } {
  const result = spawnSync(
    'openssl',
    ['verify', '-x509_strict', '-check_ss_sig', '-purpose', purpose, '-CAfile', file('root.pem', root.certificatePem), file('leaf.pem', leafPem)],
    { encoding: 'utf8' },
  );
  return { ok: result.status === 0, says: result.stdout + result.stderr };
}

describe('the authority', () => {
  test('signs itself, holds its own key and is valid from five minutes ago', async () => {
    const { certificatePem, privateKeyPem } = await createCertificateAuthority({ commonName: 'etcd-ca', validDays: 10, now });
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe('CN=etcd-ca');
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(privateKeyPem))).toBe(true);
    expect(certificate.publicKey.asymmetricKeyType).toBe('ec');
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(certificate.validFromDate.toISOString()).toBe('2026-11-23T11:55:00.000Z');
    expect(certificate.validToDate.toISOString()).toBe('2026-12-03T12:00:00.000Z');
  });

  test.skipIf(opensslMissing)('is what kubeadm wants, as openssl reads it', () => {
    const text = openssl('x509', '-noout', '-text', '-in', file('ca.pem', authority.certificatePem));
    expect(text).toContain('Version: 3');
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256');
    expect(text).toContain('NIST CURVE: P-256');
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    const subjectKey = /Subject Key Identifier:\s+([0-9A-F:]{59})/.exec(text)?.[1];
    const authorityKey = /Authority Key Identifier:\s+(?:keyid:)?([0-9A-F:]{59})/.exec(text)?.[1];
    expect(subjectKey).toBeDefined();
    expect(authorityKey).toBe(subjectKey);
    expect(openssl('pkey', '-noout', '-check', '-in', file('ca.key', authority.privateKeyPem))).toContain('Key is valid');
  });

  test('lasts beyond 2049, when the date format changes', async () => {
    const { certificatePem } = await createCertificateAuthority({ commonName: 'long', validDays: 36_500, now });
    expect(new X509Certificate(certificatePem).validToDate.getTime()).toBe(Math.floor(now.getTime() / 1000) * 1000 + 36_500 * DAY);
  });

  test('has a random positive serial number of 16 bytes, as leaves have', async () => {
    const leaves = await Promise.all(Array.from({ length: 40 }, async () => client()));
    const serials = [...leaves.map((leaf) => leaf.certificatePem), authority.certificatePem].map((pem) => new X509Certificate(pem).serialNumber);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(new Set(serials).size).toBe(41);
    expect(leaves[0]!.serialNumber.toUpperCase()).toBe(serials[0]);
  });
});

describe('a client certificate', () => {
  test('is signed by the authority, says who it is, and is for clients only', async () => {
    const leaf = await client({ organizations: ['muon:owners', 'team-a'], now });
    const certificate = new X509Certificate(leaf.certificatePem);
    const root = new X509Certificate(authority.certificatePem);
    expect(certificate.checkIssued(root)).toBe(true);
    expect(certificate.verify(root.publicKey)).toBe(true);
    expect(certificate.verify(new X509Certificate(other.certificatePem).publicKey)).toBe(false);
    expect(certificate.checkPrivateKey(createPrivateKey(leaf.privateKeyPem))).toBe(true);
    expect(certificate.subject.split('\n')).toEqual(['O=muon:owners', 'O=team-a', 'CN=usr_1']);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });

  test.skipIf(opensslMissing)('is accepted by openssl for clients, refused for servers and under another authority', async () => {
    const { certificatePem } = await client();
    expect(verify(certificatePem, 'sslclient')).toMatchObject({ ok: true });
    expect(verify(certificatePem, 'sslserver')).toMatchObject({ ok: false, says: expect.stringContaining('purpose') as string });
    expect(verify(certificatePem, 'sslclient', other).ok).toBe(false);
    const text = openssl('x509', '-noout', '-text', '-in', file('client.pem', certificatePem));
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(/Extended Key Usage:\s+TLS Web Client Authentication\n/);
  });

  test.skipIf(opensslMissing)('cannot sign others, and neither can an authority made under ours', async () => {
    const leaf = await client();
    const forged = await issueClientCertificate(leaf, { commonName: 'forged', organizations: ['system:masters'], validMinutes: 5 });
    const result = spawnSync(
      'openssl',
      ['verify', '-CAfile', file('root.pem', authority.certificatePem), '-untrusted', file('middle.pem', leaf.certificatePem), file('forged.pem', forged.certificatePem)],
      { encoding: 'utf8' },
    );
    expect(result.status).not.toBe(0);
    expect(result.stderr).toMatch(/invalid CA certificate/);
  });

  test.skipIf(opensslMissing).each(['usr, "x"', '#0c0161', 'a+b=c\\;<d>', 'Jürgen 東京', ' spaced ', 'system:node:worker-1', '$(id)', 'CN=admin, O=system:masters'])(
    'names %j and nobody else',
    async (name) => {
      const { certificatePem } = await client({ commonName: name, organizations: [name.slice(0, 60)] });
      const fields = openssl('x509', '-noout', '-subject', '-nameopt', 'multiline,utf8,-esc_msb,-esc_ctrl', '-in', file('odd.pem', certificatePem));
      const lines = fields.split('\n').slice(1, -1);
      expect(lines.map((line) => line.replace(/^ {4}(\w+) *= /, '$1='))).toEqual([`organizationName=${name.slice(0, 60)}`, `commonName=${name}`]);
    },
  );

  test('starts five minutes ago, but not before its authority; ends with it at the latest', async () => {
    const short = await createCertificateAuthority({ commonName: 'short', validDays: 1, now });
    const issue = async (later: number, validMinutes: number) =>
      issueClientCertificate(short, { commonName: 'a', organizations: [], validMinutes, now: new Date(now.getTime() + later) });
    const start = Math.floor(now.getTime() / 1000) * 1000;
    const early = await issue(-2 * MINUTE, 60);
    expect(early.notBefore.getTime()).toBe(start - 5 * MINUTE);
    const normal = await issue(60 * MINUTE, 480);
    expect(normal.notBefore.getTime()).toBe(start + 55 * MINUTE);
    expect(normal.notAfter.getTime()).toBe(start + 540 * MINUTE);
    const late = await issue(DAY - 60 * MINUTE, 480);
    expect(late.notAfter.getTime()).toBe(start + DAY);
    const parsed = new X509Certificate(late.certificatePem);
    expect([parsed.validFromDate, parsed.validToDate]).toEqual([late.notBefore, late.notAfter]);
    await expect(issue(DAY, 480)).rejects.toMatchObject({ code: 'INVALID_STATE', fault: 'OPERATOR' });
  });

  test('is not made with a key that is not the authority’s', async () => {
    const mixed = { certificatePem: authority.certificatePem, privateKeyPem: other.privateKeyPem };
    const options = { commonName: 'a', organizations: [], validMinutes: 5 };
    await expect(issueClientCertificate(mixed, options)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('a server certificate', () => {
  test('is for its names and addresses, in all their forms', async () => {
    const certificate = new X509Certificate((await server({ ipAddresses: ['10.96.0.1', 'FD00:0:0::1', '::ffff:1.2.3.4'] })).certificatePem);
    expect(certificate.checkHost('api.example.test')).toBe('api.example.test');
    expect(certificate.checkHost('other.example.test')).toBeUndefined();
    expect(certificate.checkIP('10.96.0.1')).toBe('10.96.0.1');
    expect(certificate.checkIP('fd00::1')).toBe('fd00::1');
    expect(certificate.checkIP('::ffff:102:304')).toBe('::ffff:102:304');
    expect(certificate.checkIP('10.96.0.2')).toBeUndefined();
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const wild = new X509Certificate((await server({ dnsNames: ['*.apps.test'], ipAddresses: [] })).certificatePem);
    expect(wild.checkHost('one.apps.test')).toBe('*.apps.test');
  });

  test.skipIf(opensslMissing)('is accepted by openssl for servers and refused for clients', async () => {
    const { certificatePem } = await server();
    expect(verify(certificatePem, 'sslserver')).toMatchObject({ ok: true });
    expect(verify(certificatePem, 'sslclient').ok).toBe(false);
  });

  test('serves a TLS connection on which both sides prove who they are', async () => {
    const [serving, mine, foreign] = await Promise.all([
      server(),
      client({ commonName: 'usr_7', organizations: ['muon:viewers'] }),
      issueClientCertificate(other, { commonName: 'usr_7', organizations: ['system:masters'], validMinutes: 5 }),
    ]);
    const listener = createServer({
      cert: serving.certificatePem,
      key: serving.privateKeyPem,
      ca: authority.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const accepted: string[] = [];
    listener.on('secureConnection', (socket: TLSSocket) => {
      const subject = (socket.getPeerX509Certificate()?.subject ?? '').replace('\n', ' ');
      accepted.push(subject);
      socket.end(subject);
    });
    listener.on('tlsClientError', () => undefined);
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    const { port } = listener.address() as AddressInfo;
    const call = async (who: CertificateAndKey, trusted: string, servername = 'localhost'): Promise<string> =>
      new Promise((done, fail) => {
        const socket = connect({ port, host: '127.0.0.1', servername, cert: who.certificatePem, key: who.privateKeyPem, ca: trusted });
        let text = '';
        socket.setEncoding('utf8').on('data', (part: string) => (text += part));
        socket.on('error', fail).on('end', () => done(text));
      });
    try {
      expect(await call(mine, authority.certificatePem)).toBe('O=muon:viewers CN=usr_7');
      // By TLS 1.3 the client learns of its refusal only afterwards: by an alert or by the end, whichever it sees first.
      expect(await call(foreign, authority.certificatePem).catch(() => '')).toBe('');
      await expect(call(mine, other.certificatePem)).rejects.toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' });
      await expect(call(mine, authority.certificatePem, 'elsewhere.test')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      expect(accepted).not.toContain('O=system:masters CN=usr_7');
    } finally {
      listener.close();
    }
  });
});

test.each<[field: string, make: () => Promise<unknown>]>([
  ['commonName', async () => createCertificateAuthority({ commonName: '', validDays: 1 })],
  ['commonName', async () => createCertificateAuthority({ commonName: 'a\nb', validDays: 1 })],
  ['validDays', async () => createCertificateAuthority({ commonName: 'a', validDays: 0 })],
  ['validDays', async () => createCertificateAuthority({ commonName: 'a', validDays: 36_501 })],
  ['commonName', async () => client({ commonName: 'a'.repeat(254) })],
  ['commonName', async () => client({ commonName: 'a\u0000b' })],
  ['organizations.1', async () => client({ organizations: ['a', ''] })],
  ['organizations.0', async () => client({ organizations: ['a'.repeat(65)] })],
  ['organizations', async () => client({ organizations: Array.from({ length: 33 }, () => 'a') })],
  ['validMinutes', async () => client({ validMinutes: 0 })],
  ['validMinutes', async () => client({ validMinutes: 1.5 })],
  ['validMinutes', async () => client({ validMinutes: Number.NaN })],
  ['dnsNames', async () => server({ dnsNames: [], ipAddresses: [] })],
  ['dnsNames.0', async () => server({ dnsNames: ['a..b'] })],
  ['dnsNames.1', async () => server({ dnsNames: ['a', 'a.*.b'] })],
  ['dnsNames.0', async () => server({ dnsNames: ['10.0.0.1'] })],
  ['dnsNames.0', async () => server({ dnsNames: ['Upper.test'] })],
  ['ipAddresses.0', async () => server({ ipAddresses: ['10.0.0.256'] })],
  ['ipAddresses.0', async () => server({ ipAddresses: ['fe80::1%eth0'] })],
])('refuses a wrong %s', async (field, make) => {
  await expect(make()).rejects.toMatchObject({ code: 'INVALID_INPUT', field });
});
