import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createCertificateAuthority, issueServerCertificate, type CertificateAndKey } from './certificate.js';
import { mintDockerBundle } from './docker-bundle.js';

const authority = await createCertificateAuthority({ commonName: 'docker-ca', validDays: 10 });
const contents = async (options: Parameters<typeof mintDockerBundle>[1], by: CertificateAndKey = authority): Promise<Record<string, string>> =>
  Object.fromEntries((await mintDockerBundle(by, options)).files.map(({ name, content }) => [name, content]));

/** What a manager does: `dockerd --tlsverify`. Who the client is, or undefined when it was turned away. */
async function greet(files: Record<string, string>): Promise<string | undefined> {
  const { certificatePem: cert, privateKeyPem: key } = await issueServerCertificate(authority, {
    commonName: 'manager',
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    validMinutes: 10,
  });
  let client: string | undefined;
  const server = createServer({ ca: authority.certificatePem, cert, key, requestCert: true, rejectUnauthorized: true }, (socket: TLSSocket) => {
    client = socket.getPeerX509Certificate()?.subject;
    socket.end();
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, ca: files['ca.pem'], cert: files['cert.pem'], key: files['key.pem'] });
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.on('close', resolve));
    return client;
  } finally {
    server.close();
  }
}

describe('a docker bundle', () => {
  it('opens a manager’s door, whichever names the user has', async () => {
    const files = await contents({ user: 'Ann, of "shop"', groups: ['muon:owners'] });
    expect(Object.keys(files)).toEqual(['ca.pem', 'cert.pem', 'key.pem']);
    expect(await greet(files)).toBe('O=muon:owners\nCN=Ann\\, of \\"shop\\"');
  });

  it('opens no door of another cluster', async () => {
    const other = await createCertificateAuthority({ commonName: 'docker-ca', validDays: 10 });
    const foreign = await contents({ user: 'ann', groups: [] }, other);
    expect(await greet({ ...foreign, 'ca.pem': authority.certificatePem })).toBeUndefined();
    expect(await greet({ 'ca.pem': authority.certificatePem })).toBeUndefined();
  });

  it('is for clients only, holds for a working day if nothing is said, and never longer than a day', async () => {
    const now = new Date();
    const minted = await mintDockerBundle(authority, { user: 'ann', groups: [], now });
    const certificate = new X509Certificate(minted.files.find(({ name }) => name === 'cert.pem')?.content ?? '');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(certificate.serialNumber).toBe(minted.serialNumber.toUpperCase());
    expect(Math.round((minted.expiresAt.getTime() - now.getTime()) / 60_000)).toBe(480);
    await expect(mintDockerBundle(authority, { user: 'ann', groups: [], validMinutes: 1441 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'validMinutes' });
  });
});
