import { stringify } from 'yaml';
import type { PlannedNode } from '../blueprint.js';

/**
 * cloud-init user data (https://cloudinit.readthedocs.io) of a Swarm node. The node image of a version has Docker of that
 * version, with containerd and systemd. It holds nothing that differs between two nodes of a cluster but the name, and
 * nothing secret.
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
      { path: '/etc/muon/node.env', permissions: '0644', content: `MUON_NODE_ROLE=${node.role}\nMUON_DOCKER_RELEASE=${node.release}\n` },
    ],
    runcmd: [['systemctl', 'enable', '--now', 'docker']],
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}
