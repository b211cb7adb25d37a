import type { Problem } from './failure.js';
import type { Output } from './output.js';

export interface ClusterView {
  id: string;
  name: string;
  kind: string;
  state: string;
  projectId: string;
  apiEndpoint: string | null;
  createdAt: string;
  expiresAt: string | null;
  failure: Problem | null;
  clusterVersion: { release: string } | null;
  conditions: { type: string; status: string; reason: string; message: string; since: string }[];
  nodePools: { id: string; name: string; state: string; count: number; readyCount: number; flavor: { name: string } | null }[];
  nodes: { id: string; name: string; role: string; state: string; healthMessage: string }[];
  blockers: { code: string; message: string; fault: string; remedy: string | null; since: string }[];
  currentOperation: { id: string; kind: string; state: string } | null;
}

export const CLUSTER = `query ($id: ID!) {
  cluster(id: $id) {
    id name kind state projectId apiEndpoint createdAt expiresAt
    failure { code message fault retryable field data }
    clusterVersion { release }
    conditions { type status reason message since }
    nodePools { id name state count readyCount flavor { name } }
    nodes { id name role state healthMessage }
    blockers { code message fault remedy since }
    currentOperation { id kind state }
  }
}`;

/** A cluster with its pools, nodes, conditions, and what keeps it from being as it shall be. */
export function showCluster(output: Output, cluster: ClusterView): void {
  const { failure, currentOperation: operation } = cluster;
  output.record(
    [
      ['cluster', cluster.name],
      ['id', cluster.id],
      ['kind', `${cluster.kind} ${cluster.clusterVersion?.release ?? ''}`.trim()],
      ['state', cluster.state],
      ['api', cluster.apiEndpoint],
      ['project', cluster.projectId],
      ['created', cluster.createdAt],
      ['expires', cluster.expiresAt],
      ['failure', failure === null ? null : `${failure.code}: ${failure.message}`],
      ['operation', operation === null ? null : `${operation.id} (${operation.kind}, ${operation.state})`],
    ],
    cluster,
  );
  output.section('Node pools', ['name', 'state', 'ready', 'flavor', 'id'],
    cluster.nodePools.map((pool) => [pool.name, pool.state, `${pool.readyCount}/${pool.count}`, pool.flavor?.name, pool.id]));
  output.section('Nodes', ['name', 'role', 'state', 'health'],
    cluster.nodes.map((node) => [node.name, node.role, node.state, node.healthMessage]));
  output.section('Conditions', ['type', 'status', 'reason', 'since', 'message'],
    cluster.conditions.map((each) => [each.type, each.status, each.reason, each.since, each.message]));
  output.section('Blockers', ['code', 'mended by', 'since', 'message', 'remedy'],
    cluster.blockers.map((each) => [each.code, each.fault, each.since, each.message, each.remedy]));
}
