import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MuonError } from '#core';
import { ChangeSet, statement } from '#database';
import { accessWith, networkBench, newTenant, systemAccess, type NetworkBench, type TestTenant } from '#testing';
import { networkDrift, networkScopeContents } from './index.js';
import { findFirewallPolicies, raiseFirewallRevision } from './firewall-policy/firewall-policy.sql.js';
import { findGroupsOfPorts, findSecurityGroups } from './security-group/security-group.sql.js';

const installation = statement<{ id: string }>('spec.installation', 'SELECT id FROM installation');
const used = statement<{ used_amount: number }, [scopeId: string]>(
  'spec.groups_used',
  `SELECT used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND resource_key = 'security_group.count'`,
);
/** What a restored database does not know any more. */
const loseGroup = statement<never, [id: string]>(
  'spec.lose_group',
  `WITH told AS (UPDATE security_group_backend SET realised_revision = realised_revision - 2 WHERE security_group_id = $1)
   UPDATE security_group SET desired_revision = desired_revision - 2 WHERE id = $1`,
);
const losePort = statement<never, [id: string]>(
  'spec.lose_port',
  'UPDATE port SET desired_revision = desired_revision - 2, realised_revision = realised_revision - 2 WHERE id = $1',
);
const loseFirewall = statement<never, [any: string]>(
  'spec.lose_firewall',
  `WITH told AS (UPDATE firewall_backend SET realised_revision = realised_revision - 2),
     scopes AS (UPDATE firewall_scope SET changed_revision = changed_revision - 2)
   UPDATE firewall SET last_revision = last_revision - 2 WHERE $1 <> ''`,
);
const WEB = { direction: 'INGRESS', protocol: 'TCP', ports: { from: 80 } } as const;
const DENY = { action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: { from: 22 } } as const;

describe('security groups and firewall policies on a simulated datacenter', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let tenant: TestTenant;
  let networks: NetworkBench['networks'];
  let groups: NetworkBench['groups'];
  let policies: NetworkBench['policies'];
  let projectId: string;
  const access = systemAccess();
  let count = 0;

  beforeAll(async () => {
    bench = await networkBench();
    ({ room, center, tenant, networks, groups, policies } = bench);
  });
  beforeEach(() => {
    projectId = bench.freshProject();
    count += 1;
  });
  afterEach(() => center.world.clearFaults());
  afterAll(() => bench.close());

  const succeeded = async (id: unknown): Promise<void> => {
    expect(await center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
  };
  const makeGroup = async (name: string, more: object = {}): Promise<string> =>
    String((await groups.create(access, { projectId, name, rules: [WEB], ...more })).result.id);
  const makeNetwork = async (): Promise<string> => String((await networks.create(access, { projectId, name: 'net', subnet: {} })).result.id);

  async function makePort(networkId: string, securityGroupIds: string[] = []): Promise<{ portId: string; operation: string }> {
    const { ports, operationId } = await bench.startMachine(projectId, networkId, { securityGroupIds });
    return { portId: ports[0]?.portId ?? '', operation: operationId };
  }

  /** What the backend was told. */
  async function told(id: string): Promise<{ revision: number; specification: Record<string, unknown> } | undefined> {
    // The firewall is no tenant's.
    return [...(await center.world.networkParts(tenant.id)), ...(await center.world.networkParts(''))].find((part) => part.id === id);
  }
  const members = async (portId: string): Promise<string[]> =>
    (await room.database.rows(findGroupsOfPorts, [portId])).map((row) => row.security_group_id);
  const firewallId = async (): Promise<string> => (await room.database.first(installation))?.id ?? '';

  async function drift(graceMs = 0): Promise<string[]> {
    const started = await bench.look(networkDrift(center.drivers, { graceMs }));
    for (const id of started) await succeeded(id);
    return started;
  }

  it('a group is on a backend before its first port is, and goes from it when it is deleted', async () => {
    const id = await makeGroup('web');
    expect(await told(id)).toBeUndefined();
    const { portId, operation } = await makePort(await makeNetwork(), [id]);
    await succeeded(operation);
    expect(await told(id)).toMatchObject({ revision: 1, specification: { rules: [{ direction: 'INGRESS', protocol: 'TCP', ports: { from: 80, to: 80 } }] } });
    expect(await told(portId)).toMatchObject({ specification: { securityGroupIds: [id] } });
    expect(await room.database.first(used, projectId)).toMatchObject({ used_amount: 1 });
    await expect(groups.delete(access, id)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { users: [{ id: portId, kind: 'PORT' }] } });
    await succeeded((await groups.updatePort(access, { portId, remove: [id] })).result.operationId);
    expect(await told(portId)).toMatchObject({ revision: 2, specification: { securityGroupIds: [] } });
    await succeeded((await groups.delete(access, id)).result.operationId);
    expect(await told(id)).toBeUndefined();
    expect(await room.database.rows(findSecurityGroups, [id])).toEqual([]);
    expect(await room.database.first(used, projectId)).toMatchObject({ used_amount: 0 });
  });

  it('a group without rules of its own lets its ports begin everything', async () => {
    const { result } = await groups.create(access, { projectId, name: 'plain' });
    expect((await room.database.rows(findSecurityGroups, [String(result.id)]))[0]?.rules).toMatchObject([{ direction: 'EGRESS', protocol: 'ANY' }]);
  });

  it('new rules are told; a change that fails leaves the rules of before', async () => {
    const other = await makeGroup('other');
    const id = await makeGroup('web');
    await succeeded((await makePort(await makeNetwork(), [id])).operation);
    const rules = [{ direction: 'INGRESS', protocol: 'ANY', remoteSecurityGroupId: other }] as const;
    await succeeded((await groups.update(access, { id, rules: [...rules] })).result.operationId);
    expect(await told(id)).toMatchObject({ revision: 2, specification: { rules: [{ protocol: 'ANY', remoteSecurityGroupId: other }] } });
    await expect(groups.delete(access, other)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { users: [{ id, kind: 'SECURITY_GROUP' }] } });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureSecurityGroup' });
    const failing = await groups.update(access, { id, rules: [] });
    expect((await center.ended(failing.result.operationId)).state).toBe('FAILED');
    expect(await told(id)).toMatchObject({ revision: 4, specification: { rules: [{ protocol: 'ANY', remoteSecurityGroupId: other }] } });
    expect((await room.database.rows(findSecurityGroups, [id]))[0]).toMatchObject({ rules: [{ remoteSecurityGroupId: other }], is_behind: false });
    await expect(groups.delete(access, other)).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('a port that cannot join stays where it was', async () => {
    const [one, two] = [await makeGroup('one'), await makeGroup('two')];
    const { portId, operation } = await makePort(await makeNetwork(), [one]);
    await succeeded(operation);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensurePort' });
    const failing = await groups.updatePort(access, { portId, add: [two], remove: [one] });
    expect((await center.ended(failing.result.operationId)).state).toBe('FAILED');
    expect(await members(portId)).toEqual([one]);
    expect(await told(portId)).toMatchObject({ specification: { securityGroupIds: [one] } });
    expect((await groups.updatePort(access, { portId, add: [one], remove: [two] })).result.operationId).toBeNull();
  });

  it('refuses what makes no sense, with the field, and groups of other projects', async () => {
    const refusal = async (rules: object[]): Promise<MuonError> => groups.create(access, { projectId, name: 'x', rules: rules as never }).then(() => { throw new Error('it was taken'); }, (error: unknown) => error as MuonError);
    expect(await refusal([{ ...WEB, protocol: 'ICMP' }])).toMatchObject({ code: 'INVALID_INPUT', field: 'input.rules.0.ports' });
    expect(await refusal([WEB, { ...WEB, ports: { from: 90, to: 80 } }])).toMatchObject({ field: 'input.rules.1.ports' });
    expect(await refusal([{ ...WEB, remoteCidr: '10.0.0.0' }])).toMatchObject({ field: 'input.rules.0.remoteCidr' });
    expect(await refusal([{ ...WEB, remoteSecurityGroupId: 'sgp_none' }])).toMatchObject({ code: 'NOT_FOUND', field: 'input.rules.0.remoteSecurityGroupId' });
    const elsewhere = await groups.create(access, { projectId: tenant.projectIds[29] ?? '', name: `elsewhere-${count}` });
    expect(await refusal([{ ...WEB, remoteSecurityGroupId: elsewhere.result.id }])).toMatchObject({ code: 'NOT_FOUND' });
    const id = await makeGroup('taken');
    await expect(makeGroup('taken')).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    await expect(groups.update(access, { id, expectedVersion: 7, description: 'x' })).rejects.toMatchObject({ code: 'CONFLICT' });
    const many = Array.from({ length: 17 }, (_each, index) => `sgp_${index}`);
    const { portId } = await makePort(await makeNetwork());
    await expect(groups.updatePort(access, { portId, add: many })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.add.0' });
  });

  it('no port joins a group that is being closed, and none is closed that a port joins meanwhile', async () => {
    for (let round = 0; round < 5; round += 1) {
      const id = await makeGroup(`raced-${round}`);
      const networkId = round === 0 ? await makeNetwork() : ((await networks.create(access, { projectId, name: `net-${round}`, subnet: {} })).result.id as string);
      const [joined, closed] = await Promise.allSettled([makePort(networkId, [id]), groups.delete(access, id)]);
      expect([joined.status, closed.status].filter((status) => status === 'fulfilled')).toHaveLength(1);
      if (joined.status === 'fulfilled') await succeeded(joined.value.operation);
      if (closed.status === 'fulfilled') await succeeded(closed.value.result.operationId);
    }
  });

  it('what operators say is told in its order, before ports come, and only where it concerns somebody', async () => {
    const before = await told(await firewallId());
    const scoped = { scopeId: tenant.id, name: `first-${count}`, rules: [DENY] };
    const made = await policies.create(access, { ...scoped, position: 20 });
    await succeeded(made.result.operationId);
    const networkId = await makeNetwork();
    await succeeded((await makePort(networkId)).operation);
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [{ scope: { kind: 'TENANT', tenantId: tenant.id }, rules: [{ action: 'DENY' }] }] } });
    const second = await policies.create(access, { name: `second-${count}`, position: 10, rules: [{ ...DENY, action: 'PASS' }] });
    await succeeded(second.result.operationId);
    const order = async () => {
      const policiesTold = (await told(await firewallId()))?.specification['policies'] as { rules: { action: string }[] }[] | undefined;
      return policiesTold?.map((each) => each.rules[0]?.action);
    };
    expect(await order()).toEqual(['PASS', 'DENY']);
    await succeeded((await policies.update(access, { id: String(second.result.id), position: 30 })).result.operationId);
    expect(await order()).toEqual(['DENY', 'PASS']);
    await expect(policies.create(access, { name: `third-${count}`, position: 30, rules: [] })).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.position' });
    for (const id of [made.result.id, second.result.id]) await succeeded((await policies.delete(access, String(id))).result.operationId);
    expect(await order()).toEqual([]);
    expect((await told(await firewallId()))?.revision).toBeGreaterThan(before?.revision ?? 0);
    expect(await room.database.rows(findFirewallPolicies, [String(made.result.id)])).toEqual([]);
  });

  it('policies that are made at once are all in force, wherever they were told', async () => {
    await succeeded((await makePort(await makeNetwork())).operation);
    const made = await Promise.all(
      Array.from({ length: 8 }, (_each, index) =>
        policies.create(access, { name: `at-once-${index}`, position: 100 + index, ...(index % 2 === 0 ? { scopeId: tenant.id } : {}), rules: [DENY] }),
      ),
    );
    for (const { result } of made) await succeeded(result.operationId);
    expect((await told(await firewallId()))?.specification['policies']).toHaveLength(8);
    const gone = await Promise.all(made.map(({ result }) => policies.delete(access, String(result.id))));
    for (const { result } of gone) await succeeded(result.operationId);
    expect((await told(await firewallId()))?.specification['policies']).toEqual([]);
  });

  it('a policy that a backend refuses is in force nowhere, and can be tried again; a change that fails leaves the rules of before', async () => {
    await succeeded((await makePort(await makeNetwork())).operation);
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureFirewall' });
    const made = await policies.create(access, { name: `strict-${count}`, scopeId: projectId, rules: [DENY] });
    const id = String(made.result.id);
    expect(await center.ended(made.result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect((await room.database.rows(findFirewallPolicies, [id]))[0]).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [] } });
    await center.operations.retry(String(made.result.operationId));
    await succeeded(made.result.operationId);
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [{ scope: { kind: 'PROJECT', projectId } }] } });
    await center.world.addFault({ kind: 'REFUSED', method: 'ensureFirewall' });
    const failing = await policies.update(access, { id, rules: [] });
    expect((await center.ended(failing.result.operationId)).state).toBe('FAILED');
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [{ rules: [{ action: 'DENY' }] }] } });
    await succeeded((await policies.delete(access, id)).result.operationId);
  });

  it('is the operators’ alone', async () => {
    const owner = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
    await expect(policies.create(owner, { name: 'mine', scopeId: tenant.id, rules: [] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(policies.delete(owner, 'fwp_none')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('repairs by operations what a backend has lost: a group with its members, and the firewall', async () => {
    const id = await makeGroup('web');
    const { portId, operation } = await makePort(await makeNetwork(), [id]);
    await succeeded(operation);
    const policy = await policies.create(access, { name: `kept-${count}`, scopeId: projectId, rules: [DENY] });
    await succeeded(policy.result.operationId);
    expect(await drift()).toEqual([]);
    const { network: driver } = await center.drivers.driver(center.backendId);
    const part = await told(portId);
    await driver.removePort(bench.call('lost'), portId);
    await driver.removeSecurityGroup(bench.call('lost'), id);
    await driver.removeFirewall(bench.call('lost'), await firewallId());
    expect((await drift()).length).toBeGreaterThan(0);
    await drift();
    expect(await drift()).toEqual([]);
    expect(await told(id)).toBeDefined();
    expect(await told(portId)).toMatchObject({ specification: part?.specification });
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [{ scope: { projectId } }] } });
    for (const damaged of [id, portId, await firewallId()]) {
      await center.world.damagePart(damaged);
      expect(await drift()).toHaveLength(1);
      expect(await drift()).toEqual([]);
    }
    await succeeded((await policies.delete(access, String(policy.result.id))).result.operationId);
  });

  it('a backend forgets what was said of a tenant who has nothing there any more', async () => {
    const { portId, operation } = await makePort(await makeNetwork());
    await succeeded(operation);
    const other = await newTenant(room.database, 1);
    const made = await policies.create(access, { name: `stale-${count}`, scopeId: other.id, rules: [DENY] });
    await succeeded(made.result.operationId);
    const scopes = async () => JSON.stringify((await told(await firewallId()))?.specification['policies']);
    // The other tenant comes along with whatever this one's backend is told.
    const mine = await policies.create(access, { name: `own-${count}`, scopeId: tenant.id, rules: [DENY] });
    await succeeded(mine.result.operationId);
    expect(await scopes()).toContain(other.id);
    await succeeded((await policies.delete(access, String(made.result.id))).result.operationId);
    await drift();
    expect(await scopes()).not.toContain(other.id);
    expect(await drift()).toEqual([]);
    await succeeded((await policies.delete(access, String(mine.result.id))).result.operationId);
    expect(await told(portId)).toBeDefined();
  });

  it('a firewall that is lost is repaired at once, whoever’s policies have only just changed; what nobody was told of yet is waited for', async () => {
    await succeeded((await makePort(await makeNetwork())).operation);
    const made = await policies.create(access, { name: `mine-${count}`, scopeId: tenant.id, rules: [DENY] });
    await succeeded(made.result.operationId);
    const others = await newTenant(room.database, 1);
    const elsewhere = await policies.create(access, { name: `others-${count}`, scopeId: others.id, rules: [DENY] });
    await succeeded(elsewhere.result.operationId);
    expect(await drift(60_000)).toEqual([]);
    await center.world.damagePart(await firewallId());
    expect(await drift(60_000)).toHaveLength(1);
    expect(await drift(60_000)).toEqual([]);
    await room.database.transaction((transaction) => transaction.execute(raiseFirewallRevision, tenant.id));
    expect(await drift(60_000)).toEqual([]);
    expect(await drift()).toHaveLength(1);
    for (const { result } of [made, elsewhere]) await succeeded((await policies.delete(access, String(result.id))).result.operationId);
  });

  it('what a database that lost its last commits changes comes to backends that know of more', async () => {
    const id = await makeGroup('web');
    const { portId, operation } = await makePort(await makeNetwork(), [id]);
    await succeeded(operation);
    const made = await policies.create(access, { name: `lost-${count}`, scopeId: projectId, rules: [DENY] });
    await succeeded(made.result.operationId);
    const policyId = String(made.result.id);
    for (const port of [81, 82]) {
      await succeeded((await groups.update(access, { id, rules: [{ ...WEB, ports: { from: port } }] })).result.operationId);
      await succeeded((await policies.update(access, { id: policyId, rules: [{ ...DENY, ports: { from: port } }] })).result.operationId);
    }
    for (const [add, remove] of [[[], [id]], [[id], []]] as const) await succeeded((await groups.updatePort(access, { portId, add: [...add], remove: [...remove] })).result.operationId);
    await room.database.transaction(async (transaction) => {
      for (const text of [loseGroup, losePort, loseFirewall]) await transaction.execute(text, text === losePort ? portId : id);
    });
    await succeeded((await groups.update(access, { id, rules: [{ ...WEB, ports: { from: 83 } }] })).result.operationId);
    await succeeded((await policies.update(access, { id: policyId, rules: [{ ...DENY, ports: { from: 83 } }] })).result.operationId);
    await succeeded((await groups.updatePort(access, { portId, remove: [id] })).result.operationId);
    while ((await drift()).length > 0);
    expect(await told(id)).toMatchObject({ specification: { rules: [{ ports: { from: 83 } }] } });
    expect(await told(portId)).toMatchObject({ specification: { securityGroupIds: [] } });
    expect(await told(await firewallId())).toMatchObject({ specification: { policies: [{ rules: [{ ports: { from: 83 } }] }] } });
    await succeeded((await policies.delete(access, policyId)).result.operationId);
  });

  it('a backend that has lost a group is told of it when a port comes', async () => {
    const id = await makeGroup('web');
    const networkId = await makeNetwork();
    const first = await makePort(networkId, [id]);
    await succeeded(first.operation);
    const { network: driver } = await center.drivers.driver(center.backendId);
    await driver.removePort(bench.call('lost'), first.portId);
    await driver.removeSecurityGroup(bench.call('lost'), id);
    await succeeded((await makePort(networkId, [id])).operation);
    expect(await told(id)).toBeDefined();
  });

  it('goes with its project: groups that name each other, and what operators say of it', async () => {
    const one = await makeGroup('one');
    const two = await makeGroup('two', { rules: [{ ...WEB, remoteSecurityGroupId: one }] });
    await succeeded((await groups.update(access, { id: one, rules: [{ ...WEB, remoteSecurityGroupId: two }] })).result.operationId);
    await succeeded((await policies.create(access, { name: `gone-${count}`, scopeId: projectId, rules: [DENY] })).result.operationId);
    const scope = { tenantId: tenant.id, projectId };
    const contents = networkScopeContents.filter((each) => each.kind === 'security group' || each.kind === 'firewall policy');
    expect(await Promise.all(contents.map((each) => each.count(room.database, scope)))).toEqual([2, 1]);
    for (const each of contents) {
      await center.operations.submit((await each.planDeletion?.(room.database, scope, 10)) ?? new ChangeSet());
      await expect.poll(() => each.count(room.database, scope), { timeout: 10_000 }).toBe(0);
    }
    expect(await room.database.first(used, projectId)).toMatchObject({ used_amount: 0 });
  });
});
