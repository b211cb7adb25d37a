import { stringify } from 'yaml';
import { invalidInput } from '#core';
import { issueClientCertificate, type CertificateAndKey, type IssuedCertificate } from './certificate.js';
import { checkLifetime } from './certificate-input.js';
import { DEFAULT_CREDENTIAL_MINUTES, MAX_CREDENTIAL_MINUTES } from './lifetime.js';

export interface KubeconfigOptions {
  clusterName: string;
  /** `https://host:port` */
  server: string;
  /** What the server's certificate is checked against. */
  caPem: string;
  clientCertificatePem: string;
  clientKeyPem: string;
  /** The entry's name in the file; who the user is, the certificate says. */
  userName: string;
  contextName: string;
}

/**
 * A kubeconfig file (`v1 Config`) with everything in it, for `kubectl --kubeconfig` and whoever else reads that format.
 * @throws INVALID_INPUT when the server is no https address
 */
export function kubeconfig(options: KubeconfigOptions): string {
  const { clusterName, userName, contextName } = options;
  const base64 = (pem: string): string => Buffer.from(pem, 'utf8').toString('base64');
  const cluster = { server: serverAddress(options.server), 'certificate-authority-data': base64(options.caPem) };
  const user = {
    'client-certificate-data': base64(options.clientCertificatePem),
    'client-key-data': base64(options.clientKeyPem),
  };
  const file = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: clusterName, cluster }],
    contexts: [{ name: contextName, context: { cluster: clusterName, user: userName } }],
    'current-context': contextName,
    preferences: {},
    users: [{ name: userName, user }],
  };
  // kubectl reads YAML 1.1, to which "yes" or "1_0" as a name would be no text; long lines stay whole.
  return stringify(file, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}

function serverAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url?.protocol === 'https:' && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain) throw invalidInput('server', 'An address as https://host:port is needed here.');
  return text;
}

export interface MintOptions {
  clusterName: string;
  server: string;
  /** Who Kubernetes and its audit log see. */
  user: string;
  /** The groups that Kubernetes sees, to which roles are bound. */
  groups: readonly string[];
  /** 1 minute to 24 hours; 8 hours when not given. */
  validMinutes?: number;
  now?: Date;
}

export interface MintedKubeconfig {
  /** Holds a private key: handed to the caller, never stored. */
  kubeconfig: string;
  /** Names the certificate in the audit log. */
  serialNumber: string;
  expiresAt: Date;
}

/** Issues a fresh, short-lived client certificate and wraps it up; its key exists nowhere else. */
export async function mintKubeconfig(authority: CertificateAndKey, options: MintOptions): Promise<MintedKubeconfig> {
  const validMinutes = options.validMinutes ?? DEFAULT_CREDENTIAL_MINUTES;
  checkLifetime('validMinutes', validMinutes, MAX_CREDENTIAL_MINUTES);
  const client: IssuedCertificate = await issueClientCertificate(authority, {
    commonName: options.user,
    organizations: options.groups,
    validMinutes,
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const text = kubeconfig({
    clusterName: options.clusterName,
    server: options.server,
    caPem: authority.certificatePem,
    clientCertificatePem: client.certificatePem,
    clientKeyPem: client.privateKeyPem,
    userName: options.user,
    contextName: `${options.user}@${options.clusterName}`,
  });
  return { kubeconfig: text, serialNumber: client.serialNumber, expiresAt: client.notAfter };
}
