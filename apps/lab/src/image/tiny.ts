import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HOSTNAME_TEMPLATE, type Recipe } from './image.js';

/** Raise it with what the image holds: one that was built before is taken only under its own name. */
const VERSION = 2;

const INITTAB = `::sysinit:/etc/rc
::respawn:/usr/bin/httpd -f -p 80 -h /srv
::shutdown:/bin/umount -a -r
`;

/** A guest whose network is not there (yet) starts all the same, and goes on asking. */
const RC = `#!/bin/sh
mount -t proc proc /proc 2>/dev/null
hostname -F /etc/hostname
ip link set lo up
[ -d /sys/class/net/eth0 ] && ip link set eth0 up && udhcpc -i eth0 -b -t 3 -T 1 -A 2 -s /etc/udhcpc -x hostname:"$(hostname)"
hostname >/srv/index.html
`;

const DHCP = `#!/bin/sh
case $1 in
  deconfig) ip address flush dev "$interface"; ip link set "$interface" up ;;
  bound|renew)
    ip address flush dev "$interface"
    ip address add "$ip/$mask" dev "$interface"
    [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
    for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; done
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf ;;
esac
`;

const METADATA = `architecture: x86_64
creation_date: 1764201600
properties:
  description: Busybox, for tests
  os: busybox
  release: "${VERSION}"
templates:
  /etc/hostname:
    when: [create, copy, rename]
    template: hostname.tpl
`;

const FOLDERS = ['dev', 'etc', 'proc', 'root', 'run', 'sbin', 'srv', 'sys', 'tmp', 'usr/bin', 'var'];
const COMMANDS = ['cat', 'df', 'echo', 'false', 'free', 'head', 'hostname', 'httpd', 'id', 'ip', 'kill', 'ls', 'mkdir', 'mount', 'nc', 'nproc']
  .concat(['ping', 'poweroff', 'ps', 'reboot', 'rm', 'sh', 'sleep', 'tee', 'test', 'touch', 'true', 'udhcpc', 'umount', 'wc']);

/** One megabyte with a shell, DHCP and a web server that tells its name; starts in a fraction of a second. */
export const TINY: Recipe = {
  name: `tiny-${VERSION}`,
  metadata: METADATA,
  templates: { 'hostname.tpl': HOSTNAME_TEMPLATE },
  compression: ['-comp', 'gzip'],
  fill: fillRoot,
};

async function fillRoot(root: string): Promise<void> {
  for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true });
  await symlink('usr/bin', join(root, 'bin'));
  await copyFile('/bin/busybox', join(root, 'usr/bin/busybox'));
  await chmod(join(root, 'usr/bin/busybox'), 0o755);
  for (const command of COMMANDS) await symlink('busybox', join(root, 'usr/bin', command));
  await symlink('/usr/bin/busybox', join(root, 'sbin/init'));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(root, 'etc/inittab'), INITTAB);
  for (const [name, text] of [['rc', RC], ['udhcpc', DHCP]] as const) {
    await writeFile(join(root, 'etc', name), text);
    await chmod(join(root, 'etc', name), 0o755);
  }
}
