import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertRows, statement } from '#database';
import { zoneId } from '#infrastructure';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const standIn = statement<{ id: string }, [hostIds: string[], zoneId: string]>('spec.spread_zone', 'UPDATE host SET zone_id = $2 WHERE id = ANY ($1) RETURNING id');
const poolsStandIn = statement<{ id: string }, [hostIds: string[], zoneId: string]>(
  'spec.spread_pools',
  'UPDATE datastore SET zone_id = $2 WHERE host_id = ANY ($1) RETURNING id',
);
const intend = statement<{ id: string }, [id: string, intent: string]>('spec.spread_intent', 'UPDATE host SET intent = $2 WHERE id = $1 RETURNING id');

describe('nodes of a cluster', () => {
  let bench: ClustersBench;
  const access = systemAccess();

  /** Six hosts: four in one zone, and one in each of two others. */
  beforeAll(async () => {
    bench = await clustersBench({ hosts: 6 });
    for (const [index, name] of ['second', 'third'].entries()) {
      const id = zoneId.create();
      const hostIds = bench.center.hostIds.slice(index, index + 1);
      await bench.room.database.transaction(async (transaction) => {
        await insertRows(transaction, 'zone', [{ id, name }]);
        await transaction.rows(standIn, hostIds, id);
        await transaction.rows(poolsStandIn, hostIds, id);
      });
    }
  });
  afterAll(() => bench.close());

  async function placesOf(clusterId: string, role: string): Promise<{ hosts: number; zones: number }> {
    const nodes = (await bench.nodes(clusterId)).filter((node) => node.role === role);
    const machines = await Promise.all(nodes.map((node) => bench.machine(node.machine_id)));
    return { hosts: new Set(machines.map((machine) => machine.host_id)).size, zones: new Set(machines.map((machine) => machine.zone_id)).size };
  }

  it('stand in as many zones as there are, so that no zone takes the quorum with it', async () => {
    const nodePools = [{ name: 'workers', flavor: 'small', count: 3 }];
    for (const name of ['one', 'two', 'three']) {
      const cluster = await bench.made(bench.emptyProject(), name, { nodePools });
      expect(await placesOf(cluster.id, 'CONTROL')).toEqual({ hosts: 3, zones: 3 });
      expect(await placesOf(cluster.id, 'WORKER')).toEqual({ hosts: 3, zones: 3 });
    }
  }, 120_000);

  it('are replaced also where every host has one of them: the old one goes first', async () => {
    await bench.room.database.rows(intend, bench.center.hostIds[5] ?? '', 'SUSPENDED');
    const cluster = await bench.made(bench.emptyProject(), 'full', { controlPlane: { count: 5, flavor: 'small' }, nodePools: [] });
    const [control] = await bench.nodes(cluster.id);
    const { result } = await bench.clusters.replaceNode(access, String(control?.id));
    expect(await bench.center.ended(result.operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await bench.nodes(cluster.id)).map((node) => node.id)).not.toContain(control?.id);
    expect(await placesOf(cluster.id, 'CONTROL')).toEqual({ hosts: 5, zones: 3 });
  }, 120_000);
});
