import { issueClientCertificate, type CertificateAndKey } from './certificate.js';
import { checkLifetime } from './certificate-input.js';
import { DEFAULT_CREDENTIAL_MINUTES, MAX_CREDENTIAL_MINUTES } from './lifetime.js';

export interface DockerBundleOptions {
  /** Who the managers' logs see. */
  user: string;
  groups: readonly string[];
  /** 1 minute to 24 hours; 8 hours when not given. */
  validMinutes?: number;
  now?: Date;
}

export interface MintedDockerBundle {
  /** `ca.pem`, `cert.pem` and `key.pem`, as the folder has them that DOCKER_CERT_PATH names. Holds a private key: handed to the caller, never stored. */
  files: { name: string; content: string }[];
  /** Names the certificate in the audit log. */
  serialNumber: string;
  expiresAt: Date;
}

/** Issues a fresh, short-lived client certificate for the `docker` client; its key exists nowhere else. */
export async function mintDockerBundle(authority: CertificateAndKey, options: DockerBundleOptions): Promise<MintedDockerBundle> {
  const validMinutes = options.validMinutes ?? DEFAULT_CREDENTIAL_MINUTES;
  checkLifetime('validMinutes', validMinutes, MAX_CREDENTIAL_MINUTES);
  const client = await issueClientCertificate(authority, {
    commonName: options.user,
    organizations: options.groups,
    validMinutes,
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const files = [
    { name: 'ca.pem', content: authority.certificatePem },
    { name: 'cert.pem', content: client.certificatePem },
    { name: 'key.pem', content: client.privateKeyPem },
  ];
  return { files, serialNumber: client.serialNumber, expiresAt: client.notAfter };
}
