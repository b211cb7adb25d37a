import { stringify } from 'yaml';
import type { PlannedNode } from '../blueprint.js';

/**
 * cloud-init user data (https://cloudinit.readthedocs.io) of a Kubernetes node. The node image of a version has kubeadm,
 * kubelet, kubectl and containerd of that version; this only prepares the kernel and starts what kubeadm expects to run.
 * It holds nothing that differs between two nodes of a cluster but the name, and nothing secret.
 */
export function nodeUserData(node: PlannedNode): string {
  const config = {
    hostname: node.name,
    preserve_hostname: false,
    // Nobody signs in: nodes are configured by this file and by guest runs.
    ssh_deletekeys: true,
    disable_root: true,
    ssh_pwauth: false,
    write_files: [
      { path: '/etc/modules-load.d/muon-kubernetes.conf', permissions: '0644', content: 'overlay\nbr_netfilter\n' },
      {
        path: '/etc/sysctl.d/90-muon-kubernetes.conf',
        permissions: '0644',
        content: 'net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n',
      },
      { path: '/etc/muon/node.env', permissions: '0644', content: `MUON_NODE_ROLE=${node.role}\nMUON_KUBERNETES_RELEASE=${node.release}\n` },
    ],
    // The kubelet refuses to start beside swap.
    swap: { size: 0 },
    runcmd: [
      ['modprobe', '-a', 'overlay', 'br_netfilter'],
      ['sysctl', '--system'],
      ['swapoff', '-a'],
      ['systemctl', 'enable', '--now', 'containerd', 'kubelet'],
    ],
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}
