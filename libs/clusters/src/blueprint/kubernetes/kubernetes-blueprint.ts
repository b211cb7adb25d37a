import { assert } from '#core';
import { mintKubeconfig } from '../../credentials/kubeconfig.js';
import {
  createBootstrapToken,
  createKubernetesPki,
  kubeadmPkiFiles,
  KUBEADM_PKI_DIRECTORY,
  type KubernetesPki,
} from '../../credentials/kubernetes-pki.js';
import { clientAddress, type Blueprint, type BlueprintNode, type ClusterSecrets, type GuestScript } from '../blueprint.js';
import { standardInputOf, type StandardInputFile } from '../standard-input.js';
import { nodeUserData } from './cloud-init.js';
import { API_PORT, initConfiguration, joinConfiguration, TOKEN_LIFE } from './kubeadm-config.js';
import {
  CONFIG_FILE,
  drainScript,
  initialiseScript,
  joinScript,
  openJoiningScript,
  readyScript,
  removeScript,
  TOKEN_FILE,
  undrainScript,
} from './scripts.js';

const MINUTE = 60;
const DRAIN_SECONDS = 5 * MINUTE;

/** Kubernetes by kubeadm, on a certificate authority that Muon makes and keeps. */
export const kubernetesBlueprint: Blueprint = {
  kind: 'KUBERNETES',
  apiPort: API_PORT,
  controlCounts: [1, 3, 5],
  joinsTogether: false,
  needs: ['guestRun', 'kubernetesNodes'],
  apiEndpoint,

  userData: nodeUserData,

  createSecrets: async () => JSON.stringify(await createKubernetesPki()),
  createJoinToken: createBootstrapToken,

  async initialise(cluster, node, secrets): Promise<GuestScript> {
    const pki = readPki(secrets.foundation);
    const files = [...pkiFiles(node, pki), secretFile(CONFIG_FILE, initConfiguration(cluster, node, tokenOf(secrets)))];
    return { script: initialiseScript(), standardInput: standardInputOf(files), timeoutSeconds: 15 * MINUTE };
  },

  openJoining(_cluster, secrets): GuestScript {
    const standardInput = standardInputOf([secretFile(TOKEN_FILE, tokenOf(secrets))]);
    return { script: openJoiningScript(TOKEN_LIFE), standardInput, timeoutSeconds: MINUTE };
  },

  async join(cluster, node, secrets): Promise<GuestScript> {
    const pki = readPki(secrets.foundation);
    const config = joinConfiguration(cluster, node, tokenOf(secrets), pki);
    const files = [...pkiFiles(node, pki), secretFile(CONFIG_FILE, config)];
    return { script: joinScript(), standardInput: standardInputOf(files), timeoutSeconds: 10 * MINUTE };
  },

  checkReady: (_cluster, node) => ({ script: readyScript(node), timeoutSeconds: 30, brief: true }),

  drain: (_cluster, node, { unreachable }) => {
    const timeoutSeconds = unreachable ? MINUTE : DRAIN_SECONDS;
    return { script: drainScript(node.name, { unreachable, timeoutSeconds }), timeoutSeconds: timeoutSeconds + MINUTE };
  },

  undrain: (_cluster, node) => ({ script: undrainScript(node.name), timeoutSeconds: MINUTE }),

  remove: (_cluster, node) => ({ script: removeScript(node), timeoutSeconds: 2 * MINUTE }),

  async credentials(cluster, secrets, request) {
    const pki = readPki(secrets);
    const minted = await mintKubeconfig(pki.cluster, {
      clusterName: cluster.name,
      server: apiEndpoint(clientAddress(cluster)),
      user: request.user,
      groups: request.groups,
      ...(request.validMinutes === undefined ? {} : { validMinutes: request.validMinutes }),
    });
    return { files: [{ name: 'config', content: minted.kubeconfig }], serialNumber: minted.serialNumber, expiresAt: minted.expiresAt };
  },
};

function apiEndpoint(address: string): string {
  return `https://${address}:${API_PORT}`;
}

function tokenOf({ joinToken }: ClusterSecrets): string {
  assert(joinToken !== null, 'nodes of a Kubernetes cluster join by a token of Muon');
  return joinToken;
}

function readPki(secrets: string): KubernetesPki {
  const pki = JSON.parse(secrets) as Partial<KubernetesPki>;
  assert(pki.cluster !== undefined && pki.etcd !== undefined, 'the secrets of a Kubernetes cluster are not its authorities');
  return pki as KubernetesPki;
}

/** Workers learn their cluster by the pin and get no authority's key. */
function pkiFiles(node: BlueprintNode, pki: KubernetesPki): StandardInputFile[] {
  if (node.role === 'WORKER') return [];
  return kubeadmPkiFiles(pki).map((file) => ({ ...file, path: `${KUBEADM_PKI_DIRECTORY}/${file.path}` }));
}

function secretFile(path: string, content: string): StandardInputFile {
  return { path, mode: '0600', content };
}
