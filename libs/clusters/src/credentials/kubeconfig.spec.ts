import { execFile, spawnSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { issueClientCertificate, issueServerCertificate } from './certificate.js';
import { publicKeyPin } from './key-pair.js';
import { kubeconfig, mintKubeconfig } from './kubeconfig.js';
import {
  createBootstrapToken,
  createCertificateKey,
  createKubernetesPki,
  kubeadmPkiFiles,
  type KubernetesPki,
} from './kubernetes-pki.js';

const run = promisify(execFile);
/** Their checks are skipped, and shown as skipped, where one is missing; CI makes sure that they are there. */
const kubectlMissing = spawnSync('kubectl', ['version', '--client']).status !== 0;
const opensslMissing = spawnSync('openssl', ['version']).status !== 0;

let folder: string;
let pki: KubernetesPki;
const now = new Date('2026-11-23T12:00:00Z');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muon-kubeconfig-'));
  pki = await createKubernetesPki();
});
afterAll(() => rmSync(folder, { recursive: true }));

interface ConfigFile {
  apiVersion: string;
  kind: string;
  'current-context': string;
  clusters: { name: string; cluster: { server: string; 'certificate-authority-data': string } }[];
  contexts: { name: string; context: { cluster: string; user: string } }[];
  users: { name: string; user: { 'client-certificate-data': string; 'client-key-data': string } }[];
}

const mint = (options: Partial<Parameters<typeof mintKubeconfig>[1]> = {}) =>
  mintKubeconfig(pki.cluster, { clusterName: 'blue', server: 'https://10.0.0.5:6443', user: 'usr_1', groups: ['muon:owners'], ...options });

const decoded = (text: string): string => Buffer.from(text, 'base64').toString();

test('a minted kubeconfig holds a fresh certificate of the user for eight hours, and names one context', async () => {
  const minted = await mint({ now });
  const file = parse(minted.kubeconfig) as ConfigFile;
  expect(file).toMatchObject({ apiVersion: 'v1', kind: 'Config', 'current-context': 'usr_1@blue' });
  expect(file.contexts).toEqual([{ name: 'usr_1@blue', context: { cluster: 'blue', user: 'usr_1' } }]);
  expect(file.clusters[0]).toMatchObject({ name: 'blue', cluster: { server: 'https://10.0.0.5:6443' } });
  expect(decoded(file.clusters[0]!.cluster['certificate-authority-data'])).toBe(pki.cluster.certificatePem);
  const certificate = new X509Certificate(decoded(file.users[0]!.user['client-certificate-data']));
  expect(certificate.verify(createPublicKey(pki.cluster.certificatePem))).toBe(true);
  expect(certificate.validToDate.toISOString()).toBe('2026-11-23T20:00:00.000Z');
  expect(minted.expiresAt).toEqual(certificate.validToDate);
  expect(minted.serialNumber.toUpperCase()).toBe(certificate.serialNumber);
  expect((await mint({ now })).serialNumber).not.toBe(minted.serialNumber);
});

test('it is never valid for more than a day', async () => {
  await expect(mint({ validMinutes: 24 * 60 + 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'validMinutes' });
});

test.each(['http://a:6443', 'a:6443', '', 'https://user:word@a', 'https://a/?x=1', 'https://'])(
  'it is for a plain https address, not for "%s"',
  async (server) => {
    await expect(mint({ server })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'server' });
  },
);

test('it never holds the key of the authority', async () => {
  const { kubeconfig: text } = await mint();
  expect(text).not.toContain(Buffer.from(pki.cluster.privateKeyPem).toString('base64').slice(0, 200));
  const file = parse(text) as ConfigFile;
  expect(decoded(file.users[0]!.user['client-key-data'])).not.toBe(pki.cluster.privateKeyPem);
});

const oddNames = ['yes', '1_0', '012', 'null', 'a: b', '"quoted"', "it's", '- x', '#c', 'ü', '{}'];

test.skipIf(kubectlMissing)('kubectl reads it, whatever the names are', async () => {
  const client = await issueClientCertificate(pki.cluster, { commonName: 'a', organizations: [], validMinutes: 5 });
  const paths = oddNames.map((name, index) => {
    const path = join(folder, `odd-${index}.yaml`);
    writeFileSync(
      path,
      kubeconfig({
        clusterName: name,
        server: 'https://[fd00::1]:6443',
        caPem: pki.cluster.certificatePem,
        clientCertificatePem: client.certificatePem,
        clientKeyPem: client.privateKeyPem,
        userName: `u ${name}`,
        contextName: name,
      }),
    );
    return path;
  });
  // kubectl merges the files that KUBECONFIG lists.
  const env = { ...process.env, KUBECONFIG: paths.join(':') };
  const { stdout } = await run('kubectl', ['config', 'view', '--raw', '--output=json'], { env });
  const file = JSON.parse(stdout) as ConfigFile;
  expect(file['current-context']).toBe(oddNames[0]);
  for (const name of oddNames) {
    expect(file.clusters).toContainEqual({
      name,
      cluster: { server: 'https://[fd00::1]:6443', 'certificate-authority-data': Buffer.from(pki.cluster.certificatePem).toString('base64') },
    });
    expect(file.contexts).toContainEqual({ name, context: { cluster: name, user: `u ${name}` } });
    expect(file.users.find((user) => user.name === `u ${name}`)?.user['client-key-data']).toBe(
      Buffer.from(client.privateKeyPem).toString('base64'),
    );
  }
});

test.skipIf(kubectlMissing)('kubectl and a TLS server with a certificate of the same authority accept each other', async () => {
  const serving = await issueServerCertificate(pki.cluster, {
    commonName: 'kube-apiserver',
    dnsNames: ['kubernetes'],
    ipAddresses: ['127.0.0.1'],
    validMinutes: 60,
  });
  const seen = new Set<string>();
  const listener = createServer(
    {
      cert: serving.certificatePem,
      key: serving.privateKeyPem,
      ca: pki.cluster.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const subject = (request.socket as TLSSocket).getPeerX509Certificate()?.subject ?? '';
      seen.add(subject.replaceAll('\n', ' '));
      response.setHeader('content-type', 'application/json').end('{"gitVersion":"v1.32.0"}');
    },
  );
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  try {
    const path = join(folder, 'served.yaml');
    const server = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    const get = async (): Promise<string> =>
      (await run('kubectl', [`--kubeconfig=${path}`, '--request-timeout=10s', 'get', '--raw', '/version'])).stdout;
    writeFileSync(path, (await mint({ server, groups: ['muon:owners', 'team-a'] })).kubeconfig);
    expect(await get()).toContain('v1.32.0');
    expect([...seen]).toEqual(['O=muon:owners O=team-a CN=usr_1']);
    const foreign = await createKubernetesPki();
    writeFileSync(path, (await mintKubeconfig(foreign.cluster, { clusterName: 'red', server, user: 'usr_1', groups: [] })).kubeconfig);
    await expect(get()).rejects.toThrow(/certificate signed by unknown authority/);
  } finally {
    listener.close();
    listener.closeAllConnections();
  }
});

test('the files of a control node are the ones that kubeadm looks for', () => {
  const files = kubeadmPkiFiles(pki);
  expect(files.map(({ path, mode }) => `${path} ${mode}`)).toEqual([
    'ca.crt 0644',
    'ca.key 0600',
    'front-proxy-ca.crt 0644',
    'front-proxy-ca.key 0600',
    'etcd/ca.crt 0644',
    'etcd/ca.key 0600',
    'sa.key 0600',
    'sa.pub 0644',
  ]);
  const content = (path: string): string => files.find((file) => file.path === path)!.content;
  expect(new X509Certificate(content('ca.crt')).subject).toBe('CN=kubernetes-ca');
  expect(new X509Certificate(content('front-proxy-ca.crt')).subject).toBe('CN=kubernetes-front-proxy-ca');
  expect(new X509Certificate(content('etcd/ca.crt')).subject).toBe('CN=etcd-ca');
  expect(createPublicKey(content('sa.key')).export({ type: 'spki', format: 'pem' })).toBe(content('sa.pub'));
  const keys = files.filter((file) => file.path.endsWith('.key'));
  expect(new Set(keys.map((file) => file.content)).size).toBe(4);
  for (const { content: pem } of files) expect(pem).toMatch(/^-----BEGIN [A-Z ]+-----\n[\s\S]+\n-----END [A-Z ]+-----\n$/);
  expect(JSON.stringify(pki).length).toBeLessThan(6_000);
});

test('the whole survives JSON, which is how it is kept as one secret', async () => {
  const kept = JSON.parse(JSON.stringify(pki)) as KubernetesPki;
  const leaf = await issueClientCertificate(kept.etcd, { commonName: 'a', organizations: [], validMinutes: 5 });
  expect(new X509Certificate(leaf.certificatePem).verify(createPublicKey(pki.etcd.certificatePem))).toBe(true);
});

test.skipIf(opensslMissing)('the pin is the one that kubeadm’s documentation computes with openssl', async () => {
  const path = join(folder, 'ca.crt');
  writeFileSync(path, pki.cluster.certificatePem);
  const { stdout } = await run('sh', [
    '-c',
    `openssl x509 -pubkey -noout -in "$1" | openssl pkey -pubin -outform der | openssl dgst -sha256 -hex | sed 's/^.* //'`,
    'sh',
    path,
  ]);
  expect(publicKeyPin(pki.cluster.certificatePem)).toBe(`sha256:${stdout.trim()}`);
});

test('join secrets have the shapes that kubeadm demands', () => {
  const tokens = Array.from({ length: 200 }, createBootstrapToken);
  for (const token of tokens) expect(token).toMatch(/^[a-z0-9]{6}\.[a-z0-9]{16}$/);
  expect(new Set(tokens).size).toBe(200);
  // Every letter and digit turns up: none is left out by a wrong range.
  expect(new Set(tokens.join('').replaceAll('.', '')).size).toBe(36);
  expect(createCertificateKey()).toMatch(/^[0-9a-f]{64}$/);
});
