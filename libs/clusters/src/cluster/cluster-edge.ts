import type { ChangeSet, Reader } from '#database';
import type { Access } from '#identity';
import { findFloatingIpsOfOwners, findRoutersOfOwners, planFloatingIp, planRouter } from '#network';
import { done, type StepDone, type StepWait } from '#operations';
import { derivedName } from './cluster.js';

type Answer = StepDone | StepWait;

/** What leads from outside to a cluster: ids of its own routers and floating IPs. */
export interface ClusterEdge {
  routers: string[];
  floatingIps: string[];
}

export interface EdgeRequest {
  clusterId: string;
  name: string;
  tenantId: string;
  projectId: string;
  /** Id or name of the external network. */
  externalNetwork: string;
  networkId: string;
  /** The network is the cluster's own, so it gets a router; another has one already. */
  ownsNetwork: boolean;
  loadBalancerId: string;
}

/** Leads an address of an external network to the load balancer of the API. Includes it in `changes`. */
export async function planEdge(reader: Reader, access: Access | null, request: EdgeRequest, changes: ChangeSet): Promise<ClusterEdge> {
  const { clusterId, name, tenantId, projectId, externalNetwork, networkId, loadBalancerId } = request;
  const owned = { tenantId, projectId, ownerId: clusterId, externalNetwork, field: 'input' };
  const routers: string[] = [];
  if (request.ownsNetwork) {
    const router = await planRouter(reader, access, { ...owned, name: derivedName(clusterId, name), networkIds: [networkId], lifecycle: 'PRESENT' }, changes);
    changes.include(router.changes);
    routers.push(router.routerId);
  }
  const floating = await planFloatingIp(reader, { ...owned, name: derivedName(clusterId, name, 'api'), target: { loadBalancerId } }, changes);
  changes.include(floating.changes);
  return { routers, floatingIps: [floating.floatingIpId] };
}

export async function edgeOf(reader: Reader, clusterId: string): Promise<ClusterEdge> {
  const routers = await reader.rows(findRoutersOfOwners, [clusterId]);
  const floatingIps = await reader.rows(findFloatingIpsOfOwners, [clusterId]);
  return { routers: routers.map((row) => row.id), floatingIps: floatingIps.map((row) => row.id) };
}

/** Parts of one step, each when the one before is done; what they reached is written together. */
export async function inTurn(parts: readonly (() => Promise<Answer>)[]): Promise<Answer> {
  const commits: NonNullable<StepDone['commit']>[] = [];
  for (const part of parts) {
    const answer = await part();
    if (answer.type === 'WAIT') return answer;
    if (answer.commit !== undefined) commits.push(answer.commit);
  }
  return done({
    commit: async (transaction, apply) => {
      for (const commit of commits) await commit(transaction, apply);
    },
  });
}
