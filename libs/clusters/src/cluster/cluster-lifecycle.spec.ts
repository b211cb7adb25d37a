import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterState } from '#clusters';
import { findMembers, findLoadBalancers } from '#network';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

describe('a cluster from request to nothing left', () => {
  let bench: ClustersBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
  });
  afterAll(() => bench.close());

  it('is made with 3 control nodes apart from each other and 2 workers, and is deleted with proof', async () => {
    const projectId = bench.emptyProject();
    const cluster = await bench.made(projectId, 'blue');
    expect(clusterState(cluster)).toBe('READY');
    expect(cluster.conditions.map((each) => [each.type, each.status])).toEqual([
      ['READY', 'TRUE'],
      ['API_AVAILABLE', 'TRUE'],
      ['CONTROL_NODES_READY', 'TRUE'],
      ['WORKERS_READY', 'TRUE'],
      ['FAULT_TOLERANT', 'TRUE'],
      ['HEALABLE', 'TRUE'],
    ]);
    const nodes = await bench.nodes(cluster.id);
    expect(nodes.map((node) => [node.role, node.phase, node.health])).toEqual([
      ...Array.from({ length: 3 }, () => ['CONTROL', 'JOINED', 'READY']),
      ...Array.from({ length: 2 }, () => ['WORKER', 'JOINED', 'READY']),
    ]);
    const machines = await Promise.all(nodes.map((node) => bench.machine(node.machine_id)));
    expect(new Set(machines.slice(0, 3).map((machine) => machine.host_id)).size).toBe(3);
    const [balancer] = await bench.room.database.rows(findLoadBalancers, [String(cluster.load_balancer_id)]);
    expect(balancer).toMatchObject({ lifecycle: 'PRESENT', owner_id: cluster.id });
    const members = await bench.room.database.rows(findMembers, [String(cluster.load_balancer_id)]);
    expect(members.map((member) => member.owner_id).sort()).toEqual(nodes.slice(0, 3).map((node) => node.machine_id).sort());
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
    await bench.center.world.landPending();
    expect((await bench.center.world.objects()).filter((each) => each.projectId === projectId)).toEqual([]);
  });
});
