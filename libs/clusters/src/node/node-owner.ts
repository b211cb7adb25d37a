import { MuonError, type ErrorRecord } from '#core';
import { findVirtualMachines, type MachineOwners, type OwnedMachine } from '#compute';
import type { Reader } from '#database';
import { findHosts, hostState, HostState } from '#infrastructure';
import { quorum, spareControls } from '../cluster/cluster.js';
import { findClusters } from '../cluster/cluster.sql.js';
import { hastenObservations } from '../health/observation.sql.js';
import { explainHealth } from './cluster-node.js';
import { findDecidingNodes, markNodeUnseen, type DecidingNode } from './cluster-node.sql.js';

/** What clusters have to say when the machine of one of their nodes is to be moved. */
export const clusterNodeOwners: MachineOwners = {
  async whatHolds(reader, machines) {
    const clusterIds = [...new Set(machines.flatMap(({ owner_id: owner }) => owner ?? []))];
    if (clusterIds.length === 0) return new Map();
    const rows = await reader.rows(findDecidingNodes, clusterIds);
    const nodesOf = Map.groupBy(rows, (row) => row.cluster_id);
    const asked = new Set(machines.map(({ id }) => id));
    const leaving = new Set(rows.filter(({ role, machine_id: id }) => role === 'CONTROL' && asked.has(id)).map((row) => row.cluster_id));
    const silent = await onSilentHosts(reader, rows.filter((row) => leaving.has(row.cluster_id)));
    return new Map(
      machines.flatMap(({ id, owner_id: owner }) => {
        const held = whatHoldsNode(id, nodesOf.get(owner ?? '') ?? [], silent);
        return held === null ? [] : [[id, held.toRecord()] as [string, ErrorRecord]];
      }),
    );
  },
  async mostTogether(reader, machine: OwnedMachine) {
    const [cluster] = await reader.rows(findClusters, machine.owner_id === null ? [] : [machine.owner_id]);
    if (cluster === undefined || cluster.control_group_id !== machine.affinity_group_id) return 1;
    return Math.max(1, spareControls(cluster.control_count));
  },
  async wasMoved(transaction, machineId) {
    const clusters = await transaction.rows(markNodeUnseen, machineId);
    await transaction.execute(hastenObservations, clusters.map((row) => row.cluster_id));
  },
};

/** Control nodes whose hosts are known not to answer, before their health says so. */
async function onSilentHosts(reader: Reader, nodes: readonly DecidingNode[]): Promise<Set<string>> {
  const controls = nodes.filter((node) => node.role === 'CONTROL').map((node) => node.machine_id);
  const machines = await reader.rows(findVirtualMachines, controls);
  const hosts = await reader.rows(findHosts, [...new Set(machines.map((machine) => machine.host_id))]);
  const silent = new Set(hosts.filter((host) => ([HostState.DOWN, HostState.FENCED] as string[]).includes(hostState(host))).map((host) => host.id));
  return new Set(machines.filter((machine) => silent.has(machine.host_id)).map((machine) => machine.id));
}

/** One node of a cluster is away at a time, and of its control nodes none while another one is not well. */
function whatHoldsNode(machineId: string, nodes: readonly DecidingNode[], silent: ReadonlySet<string>): MuonError | null {
  const node = nodes.find((each) => each.machine_id === machineId);
  const others = nodes.filter((each) => each !== node);
  const unseen = others.find((each) => each.health === 'UNKNOWN');
  if (unseen !== undefined) {
    return stays(`Node "${unseen.name}" of its cluster has not been seen to be ready since it was made or moved.`, 'SYSTEM', { nodeId: unseen.id });
  }
  if (node?.role !== 'CONTROL') return null;
  const controls = others.filter((each) => each.role === 'CONTROL');
  const isWell = (each: DecidingNode): boolean => each.health === 'READY' && !silent.has(each.machine_id);
  const sick = controls.find((each) => !isWell(each));
  if (sick !== undefined) {
    const why = sick.health === 'READY' ? explainHealth('HOST_SILENT') : explainHealth(sick.health_reason);
    return stays(`Its cluster cannot spare it while its control node "${sick.name}" is not ready: ${why}`, 'OPERATOR', { nodeId: sick.id });
  }
  // The cluster may lack some that it could not have replaced.
  const needed = quorum(controls.length + 1);
  if (controls.length === 0 || controls.length >= needed) return null;
  const message = `Its cluster cannot spare it: ${controls.length} control nodes would be left, and ${needed} must agree.`;
  return stays(message, 'OPERATOR', { ready: controls.length, needed });
}

function stays(message: string, fault: 'SYSTEM' | 'OPERATOR', data: Record<string, string | number>): MuonError {
  return new MuonError('INVALID_STATE', message, { fault, data });
}
