import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { networkBench, systemAccess, type NetworkBench } from '#testing';
import { networkDrift } from './index.js';
import { findFirewallPolicies } from './firewall-policy/firewall-policy.sql.js';

/** As when IT changes the backend's options. */
const offerFirewall = statement<never, [backendId: string, offered: boolean]>(
  'spec.offer_firewall',
  `UPDATE backend SET options = jsonb_build_object('capabilities', jsonb_build_object('firewall', $2::boolean)),
     capabilities = capabilities || jsonb_build_object('firewall', $2::boolean), version = version + 1
   WHERE id = $1`,
);
const DENY = { action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: { from: 22 } } as const;

describe('firewall policies, and a backend that offers no firewall', () => {
  let bench: NetworkBench;
  let projectId: string;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await networkBench();
  });
  beforeEach(async () => {
    projectId = bench.freshProject();
    await offer(false);
  });
  afterAll(() => bench.close());

  async function offer(offered: boolean): Promise<void> {
    const { room, center } = bench;
    await room.database.transaction((transaction) => transaction.execute(offerFirewall, center.backendId, offered));
    await expect.poll(async () => (await center.drivers.driver(center.backendId)).capabilities.firewall).toBe(offered);
  }

  const makeNetwork = async (): Promise<string> => bench.succeeded(await bench.networks.create(access, { projectId, name: 'net', subnet: {} }));

  async function makePort(networkId: string, securityGroupIds: string[] = []): Promise<unknown> {
    const { operationId } = await bench.startMachine(projectId, networkId, { securityGroupIds });
    return bench.center.ended(operationId);
  }

  async function firewall(): Promise<unknown> {
    return (await bench.center.world.networkParts('')).find(({ kind }) => kind === 'FIREWALL')?.specification['policies'];
  }

  it('a policy is made, changed and deleted without it, and its plan tells which networks it leaves open', async () => {
    const networkId = await makeNetwork();
    expect(await makePort(networkId)).toMatchObject({ state: 'SUCCEEDED' });
    const input = { name: bench.unique('policy'), scopeId: projectId, rules: [DENY] };
    const reason = { subject: 'firewall', data: { networks: 1, backends: [expect.stringMatching(/^backend-/)] } };
    expect((await bench.policies.create(access, input, { dryRun: true })).plan?.changes.reasons).toMatchObject([reason]);
    const id = await bench.succeeded(await bench.policies.create(access, input));
    expect((await bench.room.database.rows(findFirewallPolicies, [id]))[0]).toMatchObject({ lifecycle: 'PRESENT' });
    const change = { id, rules: [DENY, { ...DENY, ports: { from: 23 } }] };
    expect((await bench.policies.update(access, change, { dryRun: true })).plan?.changes.reasons).toMatchObject([reason]);
    await bench.succeeded(await bench.policies.update(access, change));
    await bench.succeeded(await bench.policies.delete(access, id));
    expect(await firewall()).toBeUndefined();
    // Of others' networks it says nothing.
    const elsewhere = await bench.policies.create(access, { ...input, scopeId: bench.freshProject() }, { dryRun: true });
    expect(elsewhere.plan?.changes.reasons).toEqual([]);
  });

  it('a port comes to it whatever operators say, but in no security group', async () => {
    const networkId = await makeNetwork();
    const id = await bench.succeeded(await bench.policies.create(access, { name: bench.unique('policy'), rules: [DENY] }));
    expect(await makePort(networkId)).toMatchObject({ state: 'SUCCEEDED' });
    const group = String((await bench.groups.create(access, { projectId, name: 'web' })).result.id);
    expect(await makePort(networkId, [group])).toMatchObject({ state: 'FAILED', error: { code: 'UNSUPPORTED' } });
    await bench.succeeded(await bench.policies.delete(access, id));
  });

  it('is told what operators say of its ports once it offers one', async () => {
    const networkId = await makeNetwork();
    const id = await bench.succeeded(await bench.policies.create(access, { name: bench.unique('policy'), scopeId: projectId, rules: [DENY] }));
    expect(await makePort(networkId)).toMatchObject({ state: 'SUCCEEDED' });
    const drift = async (): Promise<string[]> => bench.look(networkDrift(bench.center.drivers, { graceMs: 0 }));
    expect(await drift()).toEqual([]);
    await offer(true);
    for (const started of await drift()) expect(await bench.center.ended(started)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await firewall()).toMatchObject([{ scope: { projectId }, rules: [{ action: 'DENY' }] }]);
    expect(await drift()).toEqual([]);
    // What it was told stays as it is while it offers none.
    await offer(false);
    await bench.succeeded(await bench.policies.delete(access, id));
    expect(await drift()).toEqual([]);
    expect(await firewall()).toMatchObject([{ scope: { projectId } }]);
  });
});
