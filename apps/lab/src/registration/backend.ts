import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { IncusClient, type ClientCertificate, type HttpsEndpoint } from '#incus';
import { CONTROLLER, INCUS_PORT, NORTHBOUND_PORT, OVSDB_PORT, PROFILE, SOUTHBOUND_PORT, type Layout } from '../layout.js';
import type { StateFolder } from '../state.js';
import { clientCertificate } from './client-certificate.js';

/** Under which name clusters know Muon, and Muon the lab. */
export const BACKEND = 'lab';
const CLIENT = 'muon';
const CERTIFICATE_DAYS = 365;
/** Every host shows all of the machine as its own; what is said here adds up to less, and containers share the rest. */
const HOST_SIZE = { cpu: 4, memoryMib: 6144 };
/** Creations of real machines; Incus unpacks images in them. */
const CALL_TIMEOUT_MS = 60_000;

/** What `createBackend` and `updateBackend` are told of the lab. */
export interface LabBackend {
  endpoint: string;
  secret: string;
  options: Record<string, unknown>;
  callTimeoutMs: number;
}

/**
 * Makes Muon a client that the cluster trusts, and says how the lab is reached.
 * @param incus by a member's own socket
 */
export async function describeBackend(incus: IncusClient, layout: Layout, folder: StateFolder): Promise<LabBackend> {
  const endpoints = layout.hosts.map(({ managementAddress }) => `https://${managementAddress}:${INCUS_PORT}`);
  const serverCertificate = (await incus.server.get()).value.environment?.certificate ?? '';
  const client = await ownCertificate(folder.clientCertificate);
  await trust(incus, client, endpoints.map((url) => ({ url, serverCertificate, client })));
  const controller = CONTROLLER.managementAddress;
  return {
    endpoint: endpoints[0] ?? '',
    secret: JSON.stringify(client),
    callTimeoutMs: CALL_TIMEOUT_MS,
    options: {
      serverCertificate,
      otherEndpoints: endpoints.slice(1),
      profiles: [PROFILE],
      // Nodes of clusters run containers themselves.
      instanceConfig: { 'security.nesting': 'true', 'security.privileged': 'true' },
      hosts: Object.fromEntries(layout.hosts.map(({ name }) => [name, HOST_SIZE])),
      network: {
        northbound: [`tcp:${controller}:${NORTHBOUND_PORT}`],
        southbound: [`tcp:${controller}:${SOUTHBOUND_PORT}`],
        switches: Object.fromEntries(layout.hosts.map(({ name, managementAddress }) => [name, `tcp:${managementAddress}:${OVSDB_PORT}`])),
      },
    },
  };
}

/** The certificate that was made for Muon once; a lab that was taken down and raised again must be told of it again. */
async function ownCertificate(file: string): Promise<ClientCertificate> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ClientCertificate;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = await clientCertificate(CLIENT, CERTIFICATE_DAYS);
  await writeFile(file, JSON.stringify(made), { mode: 0o600 });
  return made;
}

async function trust(incus: IncusClient, { certificate }: ClientCertificate, endpoints: readonly HttpsEndpoint[]): Promise<void> {
  const fingerprint = new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase();
  if ((await incus.certificates.list()).some((known) => known.fingerprint === fingerprint)) return;
  const newcomer = new IncusClient({ endpoints });
  try {
    await newcomer.certificates.trustMe(await incus.certificates.createToken(CLIENT));
  } finally {
    newcomer.close();
  }
}
