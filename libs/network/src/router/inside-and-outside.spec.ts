import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ChangeSet, statement, type ChangeSetData } from '#database';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';
import { findRoutersOfNetworks, findSubnetsOfNetworks, ProviderRouterService } from '../index.js';

const waiting = statement<{ sessions: number }>(
  'spec.sides_waiting',
  `SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);
const overlaps = statement<{ count: number }>(
  'spec.sides_overlaps',
  `SELECT count(*) AS count FROM subnet AS s JOIN router_network AS n ON n.network_id = s.network_id JOIN external_network AS e ON e.id = n.external_network_id
   WHERE s.cidr && e.cidr`,
);

interface Pair {
  projectId: string;
  networkId: string;
  routerId: string;
}
type Planned = Promise<{ plan: { id: string; changes: ChangeSetData } | null }>;

describe('the blocks inside of a router and those outside', () => {
  let bench: EdgeBench;
  let providers: ProviderRouterService;
  let external: string;
  let provider: string;
  let blocks = 0;
  const access = systemAccess();
  const dryRun = { dryRun: true };

  beforeAll(async () => {
    bench = await edgeBench(120);
    providers = new ProviderRouterService(bench.center.commands);
    external = await bench.makeExternal('198.18.0.0/16');
    const created = await providers.create(access, { name: 'provider', externalNetwork: external, transitCidr: '198.19.0.0/24' });
    provider = await bench.succeeded(created);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const pair = async (): Promise<Pair> => {
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    return { projectId, networkId, routerId: await bench.makeRouter(projectId, [networkId]) };
  };
  const blockOf = (cidr = `198.18.${(blocks += 1)}.0/24`) => ({ name: `inside-${blocks}`, cidr });
  const subnetIn = ({ networkId }: Pair, cidr?: string): Planned => bench.subnets.create(access, { networkId, ...blockOf(cidr) }, dryRun) as Planned;

  /** What leads a network outside, each as a plan. */
  const ways: Record<string, { cidr?: string; plan: (pair: Pair) => Planned }> = {
    'an uplink that its router is given': { plan: ({ routerId }) => bench.routers.update(access, { id: routerId, externalNetwork: external }, dryRun) as Planned },
    'a router that it is attached to': {
      plan: async ({ projectId, networkId, routerId }) => {
        await bench.succeeded(await bench.routers.update(access, { id: routerId, detach: [networkId] }));
        const other = await bench.makeRouter(projectId, [], external);
        return bench.routers.update(access, { id: other, attach: [networkId] }, dryRun) as Planned;
      },
    },
    'a router that is made for it': {
      plan: async ({ projectId, networkId, routerId }) => {
        await bench.succeeded(await bench.routers.update(access, { id: routerId, detach: [networkId] }));
        return bench.routers.create(access, { projectId, name: bench.unique('router'), networkIds: [networkId], externalNetwork: external }, dryRun) as Planned;
      },
    },
    'the transit block of a provider router': {
      cidr: '198.19.0.0/24',
      plan: ({ routerId }) => bench.routers.update(access, { id: routerId, providerRouter: provider }, dryRun) as Planned,
    },
  };

  /** Applies one plan, lets the other wait on a second connection, commits, and returns how the other ended. */
  async function inOrder(first: ChangeSetData, second: ChangeSetData): Promise<unknown> {
    const { room } = bench;
    const nobody = { principalId: null, requestId: null };
    const [applied, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const one = room.database.transaction(async (transaction) => {
      await room.applier.apply(transaction, ChangeSet.fromData(first), nobody);
      applied.resolve();
      await release.promise;
    });
    await Promise.race([applied.promise, one]);
    const other = room.database
      .transaction((transaction) => room.applier.apply(transaction, ChangeSet.fromData(second), nobody))
      .then(() => 'APPLIED', (error: unknown) => (error as { code: string; data: unknown }).code);
    await expect.poll(async () => (await room.database.first(waiting))?.sessions).toBeGreaterThan(0);
    release.resolve();
    await one;
    return other;
  }

  describe.each(Object.entries(ways))('%s', (_way, { cidr, plan }) => {
    it.each(['subnet', 'uplink'] as const)('does not overlap a subnet that is made meanwhile, when the %s comes first', async (first) => {
      const made = await pair();
      const [uplink, subnet] = [await plan(made), await subnetIn(made, cidr)];
      const [one, other] = first === 'subnet' ? [subnet, uplink] : [uplink, subnet];
      expect([one.plan?.changes.problems, other.plan?.changes.problems]).toEqual([[], []]);
      await bench.center.commands.applyPlan(access, one.plan?.id ?? '');
      await expect(bench.center.commands.applyPlan(access, other.plan?.id ?? '')).rejects.toMatchObject({ code: 'PLAN_STALE' });
    });

    it.each(['subnet', 'uplink'] as const)('waits for the other on a second connection, when the %s is there first', async (first) => {
      const made = await pair();
      const [uplink, subnet] = [(await plan(made)).plan?.changes, (await subnetIn(made, cidr)).plan?.changes];
      if (uplink === undefined || subnet === undefined) throw new Error('there is no plan');
      expect(await (first === 'subnet' ? inOrder(subnet, uplink) : inOrder(uplink, subnet))).toBe('CONFLICT');
    });
  });

  it('never overlap, and nobody is deadlocked, when many of both are asked for at once', async () => {
    const ends: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      const made = await pair();
      const more = await bench.makeNetwork(made.projectId);
      await bench.succeeded(await bench.routers.update(access, { id: made.routerId, attach: [more] }));
      const plans = [
        await bench.routers.update(access, { id: made.routerId, externalNetwork: external }, dryRun),
        await subnetIn(made),
        await subnetIn({ ...made, networkId: more }),
      ].map(({ plan }) => plan?.id ?? '');
      if (round % 2 === 1) plans.reverse();
      const settled = await Promise.allSettled(plans.map(async (id) => bench.center.commands.applyPlan(access, id)));
      ends.push(...settled.map((end) => (end.status === 'fulfilled' ? 'APPLIED' : String((end.reason as { code: string }).code))));
      expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true);
    }
    expect(new Set(ends)).toEqual(new Set(['APPLIED', 'PLAN_STALE']));
    expect((await bench.room.database.first(overlaps))?.count).toBe(0);
  });

  it('count also while a router may still go back to where it led', async () => {
    const { networkId, routerId } = await pair();
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureRouter', times: Number.POSITIVE_INFINITY, resourceId: routerId });
    const { result } = await bench.routers.update(access, { id: routerId, externalNetwork: external });
    const late = bench.subnets.create(access, { networkId, name: 'late', cidr: '198.51.100.0/25' });
    await expect(late).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.cidr' });
    await bench.center.operations.cancel(String(result.operationId));
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.router(routerId)).toMatchObject({ external_network_id: bench.outside });
    expect(await bench.room.database.rows(findRoutersOfNetworks, [networkId])).toHaveLength(1);
  });

  it('leave a network off a router that goes back, which has got a subnet that would overlap', async () => {
    const { networkId, routerId } = await pair();
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureRouter', times: Number.POSITIVE_INFINITY, resourceId: routerId });
    const { result } = await bench.routers.update(access, { id: routerId, detach: [networkId] });
    const made = await bench.subnets.create(access, { networkId, name: 'late', cidr: '198.51.100.0/25' });
    await bench.center.operations.cancel(String(result.operationId));
    await bench.center.world.clearFaults();
    const notRestored = [{ step: 'realise', resourceId: networkId, message: expect.stringMatching(/not on the router again\. The subnet "late" .* overlaps the external network/) as string }];
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED', not_restored: notRestored });
    await bench.succeeded(made);
    expect(await bench.room.database.rows(findRoutersOfNetworks, [networkId])).toEqual([]);
    expect(await bench.room.database.rows(findSubnetsOfNetworks, [networkId])).toHaveLength(2);
  });

  it('leave a network off a router that goes back, which has overlapped since before anybody refused that', async () => {
    const { networkId, routerId } = await pair();
    const triggers = async (how: 'ENABLE' | 'DISABLE'): Promise<unknown> => bench.room.database.dataSource.query(`ALTER TABLE subnet ${how} TRIGGER subnet_inside`);
    const planned = (await subnetIn({ networkId } as Pair, '203.0.113.0/24')).plan;
    await triggers('DISABLE');
    await bench.succeeded(await bench.center.commands.applyPlan(access, planned?.id ?? ''));
    await bench.room.database.dataSource.query(`UPDATE subnet SET cidr = '198.51.100.0/24', gateway = '198.51.100.1' WHERE network_id = $1 AND cidr = '203.0.113.0/24'`, [networkId]);
    await triggers('ENABLE');
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter' });
    const { result } = await bench.routers.update(access, { id: routerId, externalNetwork: null });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await bench.router(routerId)).toMatchObject({ external_network_id: bench.outside });
    expect(await bench.room.database.rows(findRoutersOfNetworks, [networkId])).toEqual([]);
  });
});
