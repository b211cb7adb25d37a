import { assert } from '#core';
import { mintKubeconfig } from '../../credentials/kubeconfig.js';
import {
  createBootstrapToken,
  createKubernetesPki,
  kubeadmPkiFiles,
  KUBEADM_PKI_DIRECTORY,
  type KubernetesPki,
} from '../../credentials/kubernetes-pki.js';
import type { Blueprint, BlueprintNode, GuestScript } from '../blueprint.js';
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
  standardInputOf,
  TOKEN_FILE,
  undrainScript,
  type StandardInputFile,
} from './scripts.js';

const MINUTE = 60;
const DRAIN_SECONDS = 5 * MINUTE;

/** Kubernetes by kubeadm, on a certificate authority that Muon makes and keeps. */
export const kubernetesBlueprint: Blueprint = {
  kind: 'KUBERNETES',
  apiPort: API_PORT,
  controlCounts: [1, 3, 5],

  userData: nodeUserData,

  createSecrets: async () => JSON.stringify(await createKubernetesPki()),
  createJoinToken: createBootstrapToken,

  initialise(cluster, node, secrets): GuestScript {
    const pki = readPki(secrets.foundation);
    const files = [...pkiFiles(node, pki), secretFile(CONFIG_FILE, initConfiguration(cluster, node, secrets.joinToken))];
    return { script: initialiseScript(), standardInput: standardInputOf(files), timeoutSeconds: 15 * MINUTE };
  },

  openJoining(_cluster, secrets): GuestScript {
    const standardInput = standardInputOf([secretFile(TOKEN_FILE, secrets.joinToken)]);
    return { script: openJoiningScript(TOKEN_LIFE), standardInput, timeoutSeconds: MINUTE };
  },

  join(cluster, node, secrets): GuestScript {
    const pki = readPki(secrets.foundation);
    const config = joinConfiguration(cluster, node, secrets.joinToken, pki);
    const files = [...pkiFiles(node, pki), secretFile(CONFIG_FILE, config)];
    return { script: joinScript(), standardInput: standardInputOf(files), timeoutSeconds: 10 * MINUTE };
  },

  checkReady: (_cluster, node) => ({ script: readyScript(node), timeoutSeconds: 30 }),

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
      server: `https://${cluster.apiAddress}:${API_PORT}`,
      user: request.user,
      groups: request.groups,
      ...(request.validMinutes === undefined ? {} : { validMinutes: request.validMinutes }),
    });
    return { file: minted.kubeconfig, serialNumber: minted.serialNumber, expiresAt: minted.expiresAt };
  },
};

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
