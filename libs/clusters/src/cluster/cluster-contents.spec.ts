import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterContents, findClusterVersions } from '#clusters';
import { OPERATIONS } from '#operations';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

describe('what goes with a tenant, a project or a version', () => {
  let bench: ClustersBench;
  const access = systemAccess();
  const contents = new ClusterContents();
  const small = { controlPlane: { count: 1, flavor: 'small' }, nodePools: [] } as const;

  beforeAll(async () => {
    bench = await clustersBench();
  });
  afterAll(() => bench.close());

  it('counts, lists and deletes the clusters of a project, each once', async () => {
    const projectId = bench.emptyProject();
    const scope = { tenantId: bench.tenant.id, projectId };
    const made = [await bench.made(projectId, 'one', { ...small, nodePools: [] }), await bench.made(projectId, 'two', { ...small, nodePools: [] })];
    const { database } = bench.room;
    expect(await contents.count(database, scope)).toBe(2);
    expect(await contents.count(database, { tenantId: bench.tenant.id, projectId: null })).toBe(2);
    expect(await contents.count(database, { tenantId: 'ten_other', projectId: null })).toBe(0);
    expect(await contents.list(database, scope, 10)).toEqual(made.map(({ id, name }) => ({ id, name })));
    const changes = await contents.planDeletion(database, scope, 10);
    const operations = changes.items(OPERATIONS).flatMap((item) => ('id' in item ? [item.id] : []));
    expect(operations).toHaveLength(2);
    await bench.center.operations.submit(changes);
    expect((await contents.planDeletion(database, scope, 10)).items(OPERATIONS)).toEqual([]);
    for (const id of operations) expect(await bench.center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await contents.count(database, scope)).toBe(0);
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it('keeps a version that is withdrawn until its last cluster goes, and makes no new ones of it', async () => {
    const projectId = bench.emptyProject();
    const { result } = await bench.versions.create(access, { name: 'old', kind: 'KUBERNETES', release: '1.30.0', image: 'kubernetes-node' });
    const versionId = result.id as string;
    const cluster = await bench.made(projectId, 'last', { ...small, nodePools: [], version: 'old' });
    const { plan } = await bench.versions.delete(access, versionId, { dryRun: true });
    expect(plan?.changes.reasons).toMatchObject([{ data: { clusters: 1 } }]);
    await bench.versions.delete(access, versionId);
    const again = bench.clusters.create(access, bench.request(projectId, 'next', { version: versionId }));
    await expect(again).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.version' });
    await expect(bench.clusters.create(access, bench.request(projectId, 'next', { version: '1.30.0' }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await bench.room.database.rows(findClusterVersions, [versionId])).toMatchObject([{ state: 'PENDING_DELETE' }]);
    // What is there may still grow.
    const pool = await bench.pools.create(access, { clusterId: cluster.id, name: 'late', flavor: 'small', count: 1 });
    expect(await bench.center.ended(pool.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const deletion = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(deletion.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.room.database.rows(findClusterVersions, [versionId])).toEqual([]);
  });
});
