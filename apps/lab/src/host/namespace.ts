import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, run, type RunOptions } from '../machine/command.js';
import { thawDying } from '../machine/cgroups.js';
import { listProcesses, type Process } from '../machine/processes.js';
import { until } from '../machine/until.js';

/** What the first process of a machine is called in the list of processes; its state folder and its name follow. */
const MARK = 'muon-lab-machine';
const READY = '/run/muon-lab/ready';
const BOOT_TIMEOUT_MS = 15_000;
const END_TIMEOUT_MS = 15_000;

/** Folders that each machine has for itself, kept below its state folder. */
const OWN_FOLDERS = ['/var/lib/incus', '/var/cache/incus', '/var/log/incus', '/var/lib/openvswitch', '/etc/openvswitch']
  .concat(['/var/log/openvswitch', '/var/lib/ovn', '/var/log/ovn']);

/**
 * First process of a machine; $1 is the lab's state folder, by which the machine is found, $2 its name, the rest its own
 * folders. It needs a /sys of its own,
 * since that shows the network devices of whoever mounted it, and the control groups back below that. It is a shell
 * because a first process has to reap all whose parents have gone.
 */
const INIT = `
set -e
state=$1/machines/$2 name=$2
shift 2
mount --make-rprivate /
hostname "$name"
mount -t proc proc /proc
mkdir -p "$state/cgroup"
mount --rbind /sys/fs/cgroup "$state/cgroup"
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
mount --rbind "$state/cgroup" /sys/fs/cgroup
umount --recursive --lazy "$state/cgroup"
rmdir "$state/cgroup"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/openvswitch /run/ovn /run/incus /run/muon-lab
for folder in "$@"; do
  mkdir -p "$state$folder" "$folder"
  mount --bind "$state$folder" "$folder"
done
ip link set lo up
: >/run/muon-lab/ready
while :; do
  sleep 3600 &
  wait $! || :
done
`;

/** A machine that runs: name spaces for network, mounts, host name, IPC and processes, held by its first process. */
export interface Machine {
  name: string;
  stateFolder: string;
  /** Of its first process, as the machine around it counts. Killing that is a power cut: nothing of it is left. */
  pid: number;
  pidNamespace: string;
}

/** All machines of labs that run here, whatever folder they keep their state in. */
export async function findMachines(processes?: readonly Process[]): Promise<Machine[]> {
  return (processes ?? (await listProcesses())).flatMap((one) => {
    const at = one.arguments.indexOf(MARK);
    if (one.arguments[0] !== 'bash' || one.ownPid !== 1 || at === -1) return [];
    const [stateFolder = '', name = ''] = one.arguments.slice(at + 1);
    return [{ name, stateFolder, pid: one.pid, pidNamespace: one.pidNamespace }];
  });
}

export async function findMachine(stateFolder: string, name: string): Promise<Machine | undefined> {
  return (await findMachines()).find((one) => one.stateFolder === stateFolder && one.name === name);
}

/** Switches it on, without cables, unless it runs. */
export async function bootMachine(stateFolder: string, name: string): Promise<Machine> {
  const own = machineFolder(stateFolder, name);
  await mkdir(own, { recursive: true });
  if ((await findMachine(stateFolder, name)) === undefined) {
    const spaces = ['--net', '--mount', '--uts', '--ipc', '--pid', '--fork'];
    await launch('unshare', [...spaces, 'bash', '-c', INIT, MARK, stateFolder, name, ...OWN_FOLDERS], join(own, 'init.log'));
  }
  return until(`The start of ${name} (${join(own, 'init.log')} tells more)`, BOOT_TIMEOUT_MS, async () => {
    const machine = await findMachine(stateFolder, name);
    if (machine === undefined) return undefined;
    await access(`/proc/${machine.pid}/root${READY}`);
    return machine;
  });
}

export const machineFolder = (stateFolder: string, name: string): string => join(stateFolder, 'machines', name);

/** Cuts their power, and waits until nothing of them runs. */
export async function killMachines(machines: readonly Machine[]): Promise<void> {
  for (const { pid } of machines) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  const spaces = new Set(machines.map(({ pidNamespace }) => pidNamespace));
  await until('The end of all processes of a machine whose power was cut', END_TIMEOUT_MS, async () => {
    if (!(await listProcesses()).some(({ pidNamespace }) => spaces.has(pidNamespace))) return true;
    await thawDying();
    return undefined;
  });
}

/** Ends every machine of this computer, those too that are only just being switched on. */
export async function killAllMachines(): Promise<void> {
  await until('The end of all machines', END_TIMEOUT_MS, async () => {
    const processes = await listProcesses();
    if (!processes.some((one) => ['unshare', 'bash'].includes(one.program) && one.arguments.includes(MARK))) return true;
    await killMachines(await findMachines(processes));
    await thawDying();
    return undefined;
  });
}

/** Runs a program on a machine, as root, in its folder `/`. */
export async function runOn(machine: Machine, program: string, programArguments: readonly string[], options: RunOptions = {}): Promise<string> {
  return run('nsenter', [...entering(machine), program, ...programArguments], options);
}

/** Starts a daemon on a machine that does not send itself to the background. */
export async function launchOn(machine: Machine, program: string, programArguments: readonly string[], log: string): Promise<void> {
  await launch('nsenter', [...entering(machine), 'setsid', '--fork', program, ...programArguments], log);
}

/** The path, seen from outside, of what a machine has at `path`: short, as sockets' paths must be. */
export const pathOn = ({ pid }: Machine, path: string): string => `/proc/${pid}/root${path}`;

const entering = ({ pid }: Machine): string[] => ['--target', String(pid), '--net', '--mount', '--uts', '--ipc', '--pid', '--wdns=/', '--'];
