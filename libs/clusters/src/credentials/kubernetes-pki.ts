import { randomBytes, randomInt } from 'node:crypto';
import { createCertificateAuthority, type CertificateAndKey } from './certificate.js';
import { newKeyPairPem, type KeyPairPem } from './key-pair.js';

/**
 * What every control node of a Kubernetes cluster must share before kubeadm runs: three certificate authorities and the
 * key pair that signs service account tokens (Kubernetes documentation, "PKI certificates and requirements"). kubeadm
 * finds them in its folder and makes all further certificates from them. Plain data, all of it secret: about 3 KiB.
 */
export interface KubernetesPki {
  /** Signs the API server, the kubelets, and the users of the cluster. */
  cluster: CertificateAndKey;
  /** Signs the API server's own client for extension API servers. */
  frontProxy: CertificateAndKey;
  /** Signs the members and clients of etcd. */
  etcd: CertificateAndKey;
  serviceAccount: KeyPairPem;
}

/** As kubeadm makes them; their renewal is a cluster's rotation, not an upgrade. */
export const KUBERNETES_AUTHORITY_DAYS = 3_650;
export const KUBEADM_PKI_DIRECTORY = '/etc/kubernetes/pki';

export async function createKubernetesPki(options: { validDays?: number; now?: Date } = {}): Promise<KubernetesPki> {
  const make = async (commonName: string): Promise<CertificateAndKey> =>
    createCertificateAuthority({ validDays: KUBERNETES_AUTHORITY_DAYS, ...options, commonName });
  const [cluster, frontProxy, etcd] = await Promise.all([
    make('kubernetes-ca'),
    make('kubernetes-front-proxy-ca'),
    make('etcd-ca'),
  ]);
  return { cluster, frontProxy, etcd, serviceAccount: newKeyPairPem() };
}

export interface PkiFile {
  /** Below `/etc/kubernetes/pki`. */
  path: string;
  /** File mode, octal digits as cloud-init takes them. */
  mode: '0600' | '0644';
  content: string;
}

/** The files of a control node; a worker gets none of them. */
export function kubeadmPkiFiles(pki: KubernetesPki): PkiFile[] {
  const pair = (path: string, { certificatePem, privateKeyPem }: CertificateAndKey): PkiFile[] => [
    { path: `${path}.crt`, mode: '0644', content: certificatePem },
    { path: `${path}.key`, mode: '0600', content: privateKeyPem },
  ];
  return [
    ...pair('ca', pki.cluster),
    ...pair('front-proxy-ca', pki.frontProxy),
    ...pair('etcd/ca', pki.etcd),
    { path: 'sa.key', mode: '0600', content: pki.serviceAccount.privateKeyPem },
    { path: 'sa.pub', mode: '0644', content: pki.serviceAccount.publicKeyPem },
  ];
}

const TOKEN_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const randomLetters = (count: number): string =>
  Array.from({ length: count }, () => TOKEN_LETTERS.charAt(randomInt(TOKEN_LETTERS.length))).join('');

/** A bootstrap token, by which nodes join: `[a-z0-9]{6}.[a-z0-9]{16}`; the part before the dot is its public name. */
export function createBootstrapToken(): string {
  return `${randomLetters(6)}.${randomLetters(16)}`;
}

/** The key of `kubeadm init --certificate-key`: 32 bytes in hexadecimal. */
export function createCertificateKey(): string {
  return randomBytes(32).toString('hex');
}
