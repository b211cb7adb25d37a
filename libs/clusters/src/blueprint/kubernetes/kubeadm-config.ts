import { stringify } from 'yaml';
import { publicKeyPin } from '../../credentials/key-pair.js';
import type { KubernetesPki } from '../../credentials/kubernetes-pki.js';
import type { BlueprintCluster, BlueprintNode } from '../blueprint.js';

/** kubeadm's configuration files, API version kubeadm.k8s.io/v1beta4 (kubeadm 1.31 and newer). They hold the join token. */

const API_VERSION = 'kubeadm.k8s.io/v1beta4';
export const API_PORT = 6443;
/** How long nodes may join by one token. */
export const TOKEN_LIFE = '1h0m0s';
/** Clear of the blocks that Muon chooses for networks (10.32.0.0/11). */
const POD_SUBNET = '10.244.0.0/16';
const SERVICE_SUBNET = '10.96.0.0/16';

export function initConfiguration(cluster: BlueprintCluster, node: BlueprintNode, joinToken: string): string {
  return documents(
    {
      apiVersion: API_VERSION,
      kind: 'InitConfiguration',
      bootstrapTokens: [
        {
          token: joinToken,
          ttl: TOKEN_LIFE,
          usages: ['signing', 'authentication'],
          groups: ['system:bootstrappers:kubeadm:default-node-token'],
        },
      ],
      localAPIEndpoint: { advertiseAddress: node.address, bindPort: API_PORT },
      nodeRegistration: nodeRegistration(node),
    },
    {
      apiVersion: API_VERSION,
      kind: 'ClusterConfiguration',
      clusterName: cluster.name,
      kubernetesVersion: `v${cluster.release}`,
      controlPlaneEndpoint: `${cluster.apiAddress}:${API_PORT}`,
      apiServer: { certSANs: [cluster.apiAddress, ...cluster.externalAddresses, cluster.name] },
      networking: { podSubnet: POD_SUBNET, serviceSubnet: SERVICE_SUBNET },
      encryptionAlgorithm: 'ECDSA-P256',
    },
    { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', cgroupDriver: 'systemd', rotateCertificates: true },
  );
}

export function joinConfiguration(cluster: BlueprintCluster, node: BlueprintNode, joinToken: string, pki: KubernetesPki): string {
  return documents({
    apiVersion: API_VERSION,
    kind: 'JoinConfiguration',
    discovery: {
      bootstrapToken: {
        apiServerEndpoint: `${cluster.apiAddress}:${API_PORT}`,
        token: joinToken,
        // The node knows its cluster by this pin, whoever answers at the address.
        caCertHashes: [publicKeyPin(pki.cluster.certificatePem)],
      },
    },
    nodeRegistration: nodeRegistration(node),
    ...(node.role === 'CONTROL' ? { controlPlane: { localAPIEndpoint: { advertiseAddress: node.address, bindPort: API_PORT } } } : {}),
  });
}

function nodeRegistration(node: BlueprintNode): Record<string, unknown> {
  const labels = {
    'topology.kubernetes.io/zone': node.zoneId,
    ...(node.pool === null ? {} : { 'node.muon/pool': node.pool.name, ...node.pool.labels }),
  };
  const text = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return {
    name: node.name,
    criSocket: 'unix:///run/containerd/containerd.sock',
    kubeletExtraArgs: [
      { name: 'node-ip', value: node.address },
      { name: 'node-labels', value: text.join(',') },
    ],
  };
}

function documents(...parts: readonly object[]): string {
  return parts.map((part) => stringify(part, { version: '1.1', lineWidth: 0 })).join('---\n');
}
