import { access, chmod, mkdir, writeFile } from 'node:fs/promises';
import { IncusClient } from '#incus';
import {
  CONTROLLER,
  EXTERNAL,
  MANAGEMENT,
  NETWORKS,
  OVSDB_PORT,
  PHYSICAL_NETWORK,
  SOUTHBOUND_PORT,
  UNDERLAY,
  type HostLayout,
} from '../layout.js';
import { until } from '../machine/until.js';
import { plugIn } from './cables.js';
import { programsOn, runs } from './daemons.js';
import { bootMachine, launchOn, machineFolder, pathOn, runOn, type Machine } from './namespace.js';

const OVSDB_FILE = '/etc/openvswitch/conf.db';
const OVSDB_SOCKET = '/run/openvswitch/db.sock';
const OVSDB_SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
export const INCUS_SOCKET = '/var/lib/incus/unix.socket';
const INCUSD = '/usr/libexec/incus/incusd';
const INCUS_TIMEOUT_MS = 60_000;
const ANSWER_MARGIN_MS = 5000;
/** Ports of instances are named so; a host that was killed left theirs in the database, and they would be deaf. */
const INSTANCE_PORT = /^mu-/;

/** Open vSwitch's user space needs checksums from those who send into it; only from inside can they be asked for them. */
export const CHECKSUM_HOOK = '/run/muon-lab/checksums';
const CHECKSUM_SCRIPT = `#!/bin/sh
in_guest() { nsenter --net="/proc/$LXC_PID/ns/net" "$@"; }
in_guest ip link show eth0 >/dev/null 2>&1 || exit 0
in_guest ethtool -K eth0 tx off
`;

/**
 * Keeps the switch running: Open vSwitch 3.1 ends itself now and then while it translates addresses in user space
 * (lib/conntrack.c, conn_update_state). Tunnels of the user space end on a bridge of its own, never on a device of the
 * kernel; that bridge is gone with the switch, and needs its address ($1) and size ($2) again each time.
 */
const SWITCH_KEEPER = `
while :; do
  ovs-vswitchd --pidfile --log-file --verbose=console:off &
  while kill -0 $!; do
    ip address replace "$1" dev br-phy && ip link set br-phy mtu "$2" up && break
    sleep 0.1
  done 2>/dev/null
  wait $!
  echo "the switch ended with $?" >&2
  sleep 0.2
done
`;
const SWITCH_TIMEOUT_MS = 10_000;

/** Switches a host on and starts what does not run on it. Does not wait for Incus: a member alone has no quorum. */
export async function raiseHost(stateFolder: string, host: HostLayout): Promise<Machine> {
  const machine = await bootMachine(stateFolder, host.name);
  await plugIn(machine, NETWORKS);
  await runOn(machine, 'ip', ['address', 'replace', `${host.managementAddress}/24`, 'dev', MANAGEMENT.device]);
  await raiseSwitch(machine, machineFolder(stateFolder, host.name), host);
  await mkdir(pathOn(machine, '/run/muon-lab'), { recursive: true });
  await writeFile(pathOn(machine, CHECKSUM_HOOK), CHECKSUM_SCRIPT);
  await chmod(pathOn(machine, CHECKSUM_HOOK), 0o755);
  if (!runs(await programsOn(machine), 'incusd')) {
    const log = `${machineFolder(stateFolder, host.name)}/incusd.log`;
    await launchOn(machine, INCUSD, ['--group', 'root', '--logfile', '/var/log/incus/incusd.log'], log);
  }
  return machine;
}

async function raiseSwitch(machine: Machine, folder: string, { name, managementAddress, underlayAddress }: HostLayout): Promise<void> {
  const programs = await programsOn(machine);
  if (!runs(programs, 'ovsdb-server')) {
    const made = await access(pathOn(machine, OVSDB_FILE)).then(() => true, () => false);
    if (!made) await runOn(machine, 'ovsdb-tool', ['create', OVSDB_FILE, OVSDB_SCHEMA]);
    const remotes = [`--remote=punix:${OVSDB_SOCKET}`, `--remote=ptcp:${OVSDB_PORT}:${managementAddress}`];
    await runOn(machine, 'ovsdb-server', ['--detach', '--pidfile', '--log-file', ...remotes, OVSDB_FILE]);
    await runOn(machine, 'ovs-vsctl', ['--no-wait', 'init']);
    await removeInstancePorts(machine);
  }
  const settings = {
    'system-id': name,
    hostname: name,
    'ovn-remote': `tcp:${CONTROLLER.managementAddress}:${SOUTHBOUND_PORT}`,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': underlayAddress,
    // The machine's kernel need not have Open vSwitch.
    'ovn-bridge-datapath-type': 'netdev',
    'ovn-bridge-mappings': `${PHYSICAL_NETWORK}:br-ex`,
    'ovn-monitor-all': 'true',
  };
  const columns = Object.entries(settings).map(([key, value]) => `external-ids:${key}="${value}"`);
  await runOn(machine, 'ovs-vsctl', ['--no-wait', 'set', 'open', '.', ...columns]);
  if (!runs(programs, 'ovs-vswitchd')) {
    await launchOn(machine, 'sh', ['-c', SWITCH_KEEPER, 'switch-keeper', `${underlayAddress}/24`, String(UNDERLAY.mtu)], `${folder}/switch.log`);
    await until(`The switch of ${name}`, SWITCH_TIMEOUT_MS, async () => (runs(await programsOn(machine), 'ovs-vswitchd') ? true : undefined));
  }
  await addBridge(machine, 'br-phy', UNDERLAY.device, UNDERLAY.mtu);
  await addBridge(machine, 'br-ex', EXTERNAL.device, EXTERNAL.mtu);
  if (!runs(programs, 'ovn-controller')) {
    await runOn(machine, 'ovn-controller', ['--detach', '--monitor', '--pidfile', '--log-file', `unix:${OVSDB_SOCKET}`]);
  }
}

async function addBridge(machine: Machine, bridge: string, device: string, mtu: number): Promise<void> {
  const made = ['--may-exist', 'add-br', bridge, '--', 'set', 'bridge', bridge, 'datapath_type=netdev'];
  const sized = ['--', 'set', 'interface', bridge, `mtu_request=${mtu}`];
  await runOn(machine, 'ovs-vsctl', [...made, ...sized, '--', '--may-exist', 'add-port', bridge, device]);
}

/** Before the switch runs: it would take up ports whose devices are gone, and not let go of them. */
async function removeInstancePorts(machine: Machine): Promise<void> {
  const names = (await runOn(machine, 'ovs-vsctl', ['--no-wait', '--bare', '--columns=name', 'list', 'Port'])).split('\n');
  for (const port of names.filter((name) => INSTANCE_PORT.test(name))) {
    await runOn(machine, 'ovs-vsctl', ['--no-wait', '--if-exists', 'del-port', port]);
  }
}

/** To a host's own socket, which trusts us with everything. */
export function incusOf(machine: Machine, timeoutMs?: number): IncusClient {
  return new IncusClient({ endpoints: [{ socketPath: pathOn(machine, INCUS_SOCKET) }], ...(timeoutMs === undefined ? {} : { timeoutMs }) });
}

/** Until its Incus has started everything; as a member of a cluster it needs a quorum for that. */
export async function awaitIncus(machine: Machine): Promise<void> {
  const command = ['admin', 'waitready', `--timeout=${INCUS_TIMEOUT_MS / 1000}`];
  await runOn(machine, 'incus', command, { timeoutMs: INCUS_TIMEOUT_MS + ANSWER_MARGIN_MS });
}
