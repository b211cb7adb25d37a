import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../machine/command.js';
import { debianMirror } from '../machine/packages.js';
import { HOSTNAME_TEMPLATE, type Recipe } from './image.js';

/** Raise it with what the image holds. */
const VERSION = 2;

/** Put in after the base system: debootstrap cannot configure them. */
const PACKAGES = ['systemd', 'systemd-sysv', 'dbus', 'cloud-init', 'ifupdown', 'isc-dhcp-client', 'iproute2', 'iputils-ping', 'openssh-server']
  .concat(['locales', 'curl', 'ca-certificates', 'netcat-openbsd', 'python3-minimal', 'procps', 'ethtool', 'docker.io', 'iptables']);
const BUILD_TIMEOUT_MS = 900_000;

/** $1 is the root, $2 the release, $3 the mirror, the rest packages; in name spaces of its own, which take all mounts with them. */
const BUILD = `
set -e
root=$1 release=$2 mirror=$3
shift 3
debootstrap --variant=minbase "$release" "$root" "$mirror" >/dev/null
mount -t proc proc "$root/proc"
printf '#!/bin/sh\\nexit 101\\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get update -qq
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
chroot "$root" apt-get clean
umount "$root/proc"
# What one machine has for itself must not be the same in all that are made of the image.
cd "$root"
rm -rf usr/sbin/policy-rc.d etc/resolv.conf etc/hostname etc/ssh/ssh_host_* var/lib/dbus/machine-id var/lib/apt/lists/*
: >etc/machine-id
`;

/** Where its data come from, and no locale: setting one fails without those that a full system has. */
const CLOUD_INIT = 'datasource_list: [NoCloud]\nlocale: false\n';

const METADATA = `architecture: x86_64
creation_date: 1764201600
properties:
  description: Debian 12 with cloud-init and Docker, for nodes of clusters
  os: debian
  release: bookworm
templates:
  /etc/hostname:
    when: [create, copy, rename]
    template: hostname.tpl
  /var/lib/cloud/seed/nocloud-net/meta-data:
    when: [create, copy, rename]
    template: meta-data.tpl
  /var/lib/cloud/seed/nocloud-net/user-data:
    when: [create, copy, rename]
    template: user-data.tpl
    properties:
      default: |
        #cloud-config
        {}
`;

/** Debian with systemd, cloud-init (its user data is the key `cloud-init.user-data`), a server for SSH, and Docker. */
export const DEBIAN: Recipe = {
  name: `debian-${VERSION}`,
  metadata: METADATA,
  templates: {
    'hostname.tpl': HOSTNAME_TEMPLATE,
    'meta-data.tpl': `instance-id: {{ container.name }}\nlocal-hostname: ${HOSTNAME_TEMPLATE}`,
    'user-data.tpl': '{{ config_get("cloud-init.user-data", properties.default) }}\n',
  },
  compression: ['-comp', 'zstd', '-Xcompression-level', '3'],
  fill: fillRoot,
};

async function fillRoot(root: string): Promise<void> {
  const { codename, uri } = await debianMirror();
  const spaces = ['--mount', '--pid', '--fork', '--kill-child'];
  await run('unshare', [...spaces, 'sh', '-c', BUILD, 'sh', root, codename, uri, ...PACKAGES], { timeoutMs: BUILD_TIMEOUT_MS });
  await writeFile(join(root, 'etc/cloud/cloud.cfg.d/90_lab.cfg'), CLOUD_INIT);
  // The kernel's, and not for a container to set.
  await symlink('/dev/null', join(root, 'etc/systemd/system/systemd-binfmt.service'));
}
