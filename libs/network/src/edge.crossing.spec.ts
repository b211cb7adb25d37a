import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';

/** What others do between a change's admission and its end. */
describe('changes of routers and floating IPs that others cross', () => {
  let bench: EdgeBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const LAST = '192.0.2.4';
  const away = async (method: string, resourceId?: string): Promise<void> => {
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method, times: Number.POSITIVE_INFINITY, ...(resourceId === undefined ? {} : { resourceId }) });
  };
  const ended = (id: unknown) => bench.center.ended(id);
  /** An external network with one address to give out. */
  const lastAddress = async (): Promise<string> => bench.makeExternal('192.0.2.0/28', [{ first: LAST, last: LAST }]);

  it('refuses a stale plan, which would give a router an address that is another tenant’s by now', async () => {
    const { routers, center } = bench;
    const external = await lastAddress();
    const projectId = bench.freshProject();
    const id = await bench.makeRouter(projectId, [await bench.makeNetwork(projectId)], external);
    const { plan } = await routers.update(access, { id, description: 'later' }, { dryRun: true });
    await bench.succeeded(await routers.update(access, { id, externalNetwork: null }));
    const other = bench.freshProject();
    const floatingIp = await bench.makeFloating(other, external);
    expect(await bench.heldAddresses(other)).toEqual([{ address: LAST, owner_id: floatingIp }]);
    await expect(center.commands.applyPlan(access, plan?.id ?? '')).rejects.toMatchObject({ code: 'PLAN_STALE' });
    expect(await bench.router(id)).toMatchObject({ external_address: null, description: '' });
    const steal = 'UPDATE router SET external_network_id = $2, external_address = $3 WHERE id = $1';
    await expect(bench.room.database.dataSource.query(steal, [id, external, LAST])).rejects.toMatchObject({ constraint: 'router_external_address' });
  });
});
