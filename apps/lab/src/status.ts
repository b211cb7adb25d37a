import { DATABASES } from './host/controller.js';
import { runs } from './host/daemons.js';
import { incusOf } from './host/host.js';
import { findMachines, runOn, type Machine } from './host/namespace.js';
import { cableOf, layoutOf, NETWORKS, POOL, TINY_IMAGE, type HostLayout, type Layout } from './layout.js';
import { listProcesses, type Process } from './machine/processes.js';
import { listLinks, type Link } from './network/links.js';
import type { StateFolder } from './state.js';

export interface Part {
  /** Of which machine it is part; undefined for what is the lab's. */
  machine?: string;
  name: string;
  healthy: boolean;
  detail: string;
}

export interface LabStatus {
  parts: Part[];
  healthy: boolean;
  layout: Layout;
}

const ANSWER_TIMEOUT_MS = 5000;

/** What the cluster says, through the first member that answers. */
interface ClusterView {
  members: Map<string, string>;
  pool: string;
  image: boolean;
}

/** Looks at every part, now. Undefined where there is no lab. */
export async function statusOf(folder: StateFolder): Promise<LabStatus | undefined> {
  const state = await folder.read();
  if (state?.before === undefined) return undefined;
  const layout = layoutOf(state.hosts);
  const processes = await listProcesses();
  const machines = new Map((await findMachines(processes)).filter(({ stateFolder }) => stateFolder === folder.path).map((one) => [one.name, one]));
  const controller = machines.get(layout.controller.name);
  const [links, chassis, answers] = await Promise.all([
    listLinks(),
    controller === undefined ? new Set<string>() : chassisOf(controller),
    Promise.all(layout.hosts.map(async ({ name }) => clusterThrough(machines.get(name)))),
  ]);
  const cluster = answers.find((answer) => answer !== undefined);
  const parts = [
    ...NETWORKS.map(({ bridge }) => part(undefined, `bridge ${bridge}`, isUp(links, bridge), 'up', 'missing or down')),
    part(undefined, `pool ${POOL}`, cluster?.pool === 'Created', 'created', cluster?.pool ?? 'no member answers'),
    part(undefined, `image ${TINY_IMAGE}`, cluster?.image === true, 'present', 'missing'),
    ...controllerParts(layout.controller.name, controller, processes),
    ...layout.hosts.flatMap((host, index) =>
      hostParts(host, { machine: machines.get(host.name), processes, links, chassis, cluster, answers: answers[index] !== undefined }),
    ),
  ];
  return { parts, healthy: parts.every(({ healthy }) => healthy), layout };
}

function controllerParts(name: string, machine: Machine | undefined, processes: readonly Process[]): Part[] {
  if (machine === undefined) return [part(name, 'power', false, 'on', 'off')];
  const own = processes.filter(({ pidNamespace }) => pidNamespace === machine.pidNamespace);
  return [
    part(name, 'power', true, `on, process ${machine.pid}`, 'off'),
    ...DATABASES.map(({ name: database, file }) => part(name, `${database} database`, runs(own, 'ovsdb-server', file), 'runs', 'does not run')),
    part(name, 'ovn-northd', runs(own, 'ovn-northd'), 'runs', 'does not run'),
  ];
}

interface HostView {
  machine: Machine | undefined;
  processes: readonly Process[];
  links: readonly Link[];
  chassis: ReadonlySet<string>;
  cluster: ClusterView | undefined;
  answers: boolean;
}

function hostParts({ name, zone, rack }: HostLayout, view: HostView): Part[] {
  const { machine, processes, links, chassis, cluster, answers } = view;
  const member = cluster?.members.get(name);
  const seen = part(name, 'cluster member', member === 'Online', `${member}, ${zone}, ${rack}`, member ?? 'unknown');
  if (machine === undefined) return [part(name, 'power', false, 'on', 'off'), seen];
  const own = processes.filter(({ pidNamespace }) => pidNamespace === machine.pidNamespace);
  const plugged = NETWORKS.every((network) => isUp(links, cableOf(name, network)));
  return [
    part(name, 'power', true, `on, process ${machine.pid}`, 'off'),
    part(name, 'cables', plugged, 'plugged in', 'pulled'),
    ...['ovsdb-server', 'ovs-vswitchd', 'ovn-controller'].map((program) => part(name, program, runs(own, program), 'runs', 'does not run')),
    part(name, 'chassis', chassis.has(name), 'registered', 'not registered'),
    part(name, 'incus', answers, 'answers', runs(own, 'incusd') ? 'does not answer' : 'does not run'),
    seen,
  ];
}

function part(machine: string | undefined, name: string, healthy: boolean, good: string, bad: string): Part {
  return { ...(machine === undefined ? {} : { machine }), name, healthy, detail: healthy ? good : bad };
}

const isUp = (links: readonly Link[], name: string): boolean => links.some(({ ifname, flags }) => ifname === name && flags.includes('UP'));

/** Names of the hosts that OVN knows. */
async function chassisOf(controller: Machine): Promise<Set<string>> {
  try {
    const answer = await runOn(controller, 'ovn-sbctl', ['--bare', '--columns=name', 'list', 'Chassis'], { timeoutMs: ANSWER_TIMEOUT_MS });
    return new Set(answer.split('\n').filter((name) => name !== ''));
  } catch {
    return new Set();
  }
}

/** Undefined when the member does not answer. */
async function clusterThrough(machine: Machine | undefined): Promise<ClusterView | undefined> {
  if (machine === undefined) return undefined;
  const incus = incusOf(machine, ANSWER_TIMEOUT_MS);
  try {
    const [members, pools, aliases] = await Promise.all([incus.cluster.list(), incus.storagePools.list(), incus.images.aliases()]);
    return {
      members: new Map(members.map(({ server_name, status }) => [server_name, status])),
      pool: pools.find(({ name }) => name === POOL)?.status ?? 'missing',
      image: aliases.some(({ name }) => name === TINY_IMAGE),
    };
  } catch {
    return undefined;
  } finally {
    incus.close();
  }
}
