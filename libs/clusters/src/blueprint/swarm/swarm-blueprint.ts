import { isIP } from 'node:net';
import { assert } from '#core';
import { createCertificateAuthority, issueServerCertificate, type CertificateAndKey } from '../../credentials/certificate.js';
import { mintDockerBundle } from '../../credentials/docker-bundle.js';
import type { Blueprint, BlueprintCluster, BlueprintNode, ClusterSecrets, GuestScript } from '../blueprint.js';
import { standardInputOf, type StandardInputFile } from '../standard-input.js';
import { nodeUserData } from './cloud-init.js';
import {
  API_PORT,
  AUTHORITY_FILE,
  CERTIFICATE_FILE,
  closeJoiningScript,
  drainScript,
  initialiseScript,
  joinScript,
  KEY_FILE,
  LABELS_FILE,
  MANAGERS_FILE,
  openJoiningScript,
  readyScript,
  removeScript,
  TOKEN_FILE,
  TOKEN_OF_ROLE,
  undrainScript,
} from './scripts.js';

const MINUTE = 60;
const DRAIN_SECONDS = 5 * MINUTE;
const AUTHORITY_DAYS = 3_650;
const AUTHORITY_MINUTES = AUTHORITY_DAYS * 24 * 60;

/**
 * Docker Swarm. Managers answer to clients over TLS on both sides, by certificates of an authority that Muon makes and
 * keeps; among each other nodes trust the authority that Swarm makes itself. Whoever may ask a manager may do everything:
 * Swarm knows no rights of its own.
 */
export const swarmBlueprint: Blueprint = {
  kind: 'SWARM',
  apiPort: API_PORT,
  controlCounts: [1, 3, 5],
  // Managers put those who come at once in an order of their own.
  joinsTogether: true,
  needs: ['guestRun'],
  apiEndpoint,

  userData: nodeUserData,

  createSecrets: async () => JSON.stringify(await createCertificateAuthority({ commonName: 'docker-ca', validDays: AUTHORITY_DAYS })),
  createJoinToken: () => null,

  async initialise(cluster, node, { foundation }): Promise<GuestScript> {
    const files = await serverFiles(cluster, node, readAuthority(foundation));
    return { script: initialiseScript(node), standardInput: standardInputOf(files), timeoutSeconds: 5 * MINUTE };
  },

  openJoining: () => ({ script: openJoiningScript(), answers: Object.values(TOKEN_OF_ROLE), timeoutSeconds: 2 * MINUTE }),

  async join(cluster, node, secrets): Promise<GuestScript> {
    const files = [
      ...(node.role === 'CONTROL' ? await serverFiles(cluster, node, readAuthority(secrets.foundation)) : []),
      secretFile(TOKEN_FILE, `${tokenOf(secrets, node)}\n`),
      secretFile(MANAGERS_FILE, cluster.controlAddresses.map((address) => `${address}\n`).join('')),
    ];
    return { script: joinScript(node), standardInput: standardInputOf(files), timeoutSeconds: 10 * MINUTE };
  },

  closeJoining(_cluster, joined): GuestScript {
    const standardInput = standardInputOf([secretFile(LABELS_FILE, joined.map(labelLine).join(''))]);
    return { script: closeJoiningScript(), standardInput, timeoutSeconds: 5 * MINUTE };
  },

  checkReady: (_cluster, node) => ({ script: readyScript(node), timeoutSeconds: 30, brief: true }),

  drain: (_cluster, node, { unreachable }) => ({
    script: drainScript(node, { unreachable, timeoutSeconds: DRAIN_SECONDS }),
    timeoutSeconds: DRAIN_SECONDS + 2 * MINUTE,
  }),

  undrain: (_cluster, node) => ({ script: undrainScript(node), timeoutSeconds: 2 * MINUTE }),

  remove: (_cluster, node) => ({ script: removeScript(node), timeoutSeconds: 3 * MINUTE }),

  credentials: async (_cluster, secrets, request) => mintDockerBundle(readAuthority(secrets), request),
};

function apiEndpoint(address: string): string {
  return `tcp://${isIP(address) === 6 ? `[${address}]` : address}:${API_PORT}`;
}

function readAuthority(foundation: string): CertificateAndKey {
  const authority = JSON.parse(foundation) as Partial<CertificateAndKey>;
  assert(authority.certificatePem !== undefined && authority.privateKeyPem !== undefined, 'the secrets of a Swarm cluster are not its authority');
  return authority as CertificateAndKey;
}

/** A server's certificate for every name and address by which clients come to this manager. */
async function serverFiles(cluster: BlueprintCluster, node: BlueprintNode, authority: CertificateAndKey): Promise<StandardInputFile[]> {
  const names = [...new Set([node.name, 'localhost', node.address, '127.0.0.1', cluster.apiAddress, ...cluster.externalAddresses])];
  const server = await issueServerCertificate(authority, {
    commonName: node.name,
    dnsNames: names.filter((name) => isIP(name) === 0),
    ipAddresses: names.filter((name) => isIP(name) !== 0),
    validMinutes: AUTHORITY_MINUTES,
  });
  return [
    { path: AUTHORITY_FILE, mode: '0644', content: authority.certificatePem },
    { path: CERTIFICATE_FILE, mode: '0644', content: server.certificatePem },
    secretFile(KEY_FILE, server.privateKeyPem),
  ];
}

/** A node gets the token of its own role only. */
function tokenOf({ joinToken }: ClusterSecrets, node: BlueprintNode): string {
  const token = joinToken === null ? undefined : (JSON.parse(joinToken) as Record<string, string>)[TOKEN_OF_ROLE[node.role]];
  assert(token !== undefined, 'nodes of a Swarm cluster join by a token that its managers have answered with');
  return token;
}

/** Keys without a slash, which constraints of services could not name. */
function labelLine({ name, zoneId, pool }: BlueprintNode): string {
  const labels = { 'muon.zone': zoneId, ...(pool === null ? {} : { 'muon.pool': pool.name, ...pool.labels }) };
  return `${[name, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)].join(' ')}\n`;
}

function secretFile(path: string, content: string): StandardInputFile {
  return { path, mode: '0600', content };
}
