import { setTimeout as pause } from 'node:timers/promises';
import { findPorts, findPortsOfOwners, FirewallPolicyService, MAX_GROUPS, networkDrift, SecurityGroupService, type PolicyRuleInput, type SecurityRuleInput } from '#network';
import { statement } from '#database';
import type { PortSpecification } from '#drivers';
import { idIn } from '../bench/ids.js';
import type { Stage } from '../bench/lane.js';
import { contextOn } from '../sweep.js';
import { BaseSpent, type Scenario } from '../scenario.js';
import { finished, makeMachine, makeNetwork, startedBy, unique, type Made } from './material.js';

/** A machine whose port is in a group, under what operators say. */
interface Guarded {
  portId: string;
  groupId: string;
  /** How many groups it has joined, at most. */
  joined: number;
}

const WEB: SecurityRuleInput = { direction: 'INGRESS', protocol: 'TCP', ports: { from: 80 } };
const DENY: PolicyRuleInput = { action: 'DENY', direction: 'EGRESS', protocol: 'TCP', ports: { from: 25 } };

const MAX_LOOKS = 20;

const guarded = {
  key: 'guarded',
  async make(stage: Stage): Promise<Guarded> {
    const groupId = await makeGroup(stage);
    const machineId = await makeMachine(stage, await makeNetwork(stage), { securityGroupIds: [groupId] });
    const [port] = await stage.bench.database.rows(findPortsOfOwners, [machineId]);
    return { portId: port?.id ?? '', groupId, joined: 1 };
  },
};

async function makeGroup(stage: Stage): Promise<string> {
  const { bench, projectId } = stage;
  return idIn((await bench.service(SecurityGroupService).create(bench.access, { projectId, name: unique('group'), rules: [WEB] })).result);
}

/** About the stage's tenant, so that other lanes hear nothing of it. */
async function startPolicy(stage: Stage): Promise<Made> {
  const { bench, tenantId } = stage;
  const position = Number(unique('position').split('-')[1]) % 10_000;
  return startedBy(await bench.service(FirewallPolicyService).create(bench.access, { name: unique('policy'), scopeId: tenantId, position, rules: [DENY] }));
}

const kindsOf = statement<{ id: string; kind: string }, [ids: string[]]>('faults.kinds', 'SELECT id, kind FROM operation WHERE id = ANY($1)');

/**
 * What drift starts of one kind, after the backend has lost something. It leaves alone what is being changed while it looks,
 * and a firewall is changed with any tenant's policies, as those of the other lanes: then the next look finds it.
 */
async function repair(stage: Stage, kind: string): Promise<string> {
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const context = contextOn(stage);
    await networkDrift(stage.bench.house.drivers, { graceMs: 0 }).run(context);
    const found = (await stage.bench.database.rows(kindsOf, [...context.started])).find((row) => row.kind === kind);
    if (found !== undefined) return found.id;
    await pause(50);
  }
  throw new Error(`nothing of ${kind} was found to repair`);
}

/** The port stays, in no group: the way of a port group that somebody deletes in OVN. */
async function forgetGroup(stage: Stage, portId: string, groupId: string): Promise<void> {
  const { bench, world, tenantId, projectId, backendId } = stage;
  const { network } = await bench.house.drivers.driver(backendId);
  const [row] = await bench.database.rows(findPorts, [portId]);
  const told = (await world.networkParts(tenantId)).find((part) => part.id === portId);
  if (row === undefined || told === undefined) throw new Error(`the backend knows nothing of ${portId}`);
  const ownership = { installationId: (await bench.database.first(installation))?.id ?? '', tenantId, projectId };
  const port = { ...told.specification, portId, networkId: row.network_id, revision: told.revision, ownership, securityGroupIds: [] };
  await network.ensurePort(call(), port as unknown as PortSpecification);
  await network.removeSecurityGroup(call(), groupId);
}

const call = () => ({ idempotencyKey: `faults/${unique('forget')}`, timeoutMs: 10_000, signal: new AbortController().signal });

const installation = statement<{ id: string }>('faults.installation', 'SELECT id FROM installation');

export const firewallScenarios: readonly Scenario[] = [
  {
    kind: 'network.security_group.update',
    base: guarded,
    async prepare(stage, base) {
      const { bench } = stage;
      const { groupId: id } = base as Guarded;
      const rules: SecurityRuleInput[] = [{ ...WEB, protocol: 'UDP' }, { direction: 'EGRESS', protocol: 'ANY' }];
      return { submit: async () => startedBy(await bench.service(SecurityGroupService).update(bench.access, { id, rules })).operationId };
    },
  },
  {
    kind: 'network.security_group.delete',
    async prepare(stage) {
      const { bench } = stage;
      const { portId, groupId } = await guarded.make(stage);
      await finished(stage, startedBy(await bench.service(SecurityGroupService).updatePort(bench.access, { portId, remove: [groupId] })));
      return { submit: async () => startedBy(await bench.service(SecurityGroupService).delete(bench.access, groupId)).operationId };
    },
  },
  {
    kind: 'network.port.secure',
    base: guarded,
    async prepare(stage, base) {
      const { bench } = stage;
      const port = base as Guarded;
      port.joined += 1;
      if (port.joined > MAX_GROUPS) throw new BaseSpent();
      const { portId } = port;
      const id = await makeGroup(stage);
      return { submit: async () => startedBy(await bench.service(SecurityGroupService).updatePort(bench.access, { portId, add: [id] })).operationId };
    },
  },
  {
    kind: 'network.security_group.repair',
    mendedLater: true,
    async prepare(stage) {
      const { portId, groupId } = await guarded.make(stage);
      await forgetGroup(stage, portId, groupId);
      return { submit: () => repair(stage, 'network.security_group.repair') };
    },
  },
  {
    kind: 'network.firewall_policy.create',
    base: guarded,
    prepare: async (stage) => ({ submit: async () => (await startPolicy(stage)).operationId }),
  },
  {
    kind: 'network.firewall_policy.update',
    base: guarded,
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startPolicy(stage));
      const rules: PolicyRuleInput[] = [{ ...DENY, action: 'PASS' }, DENY];
      return { submit: async () => startedBy(await bench.service(FirewallPolicyService).update(bench.access, { id, rules })).operationId };
    },
  },
  {
    kind: 'network.firewall_policy.delete',
    base: guarded,
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startPolicy(stage));
      return { submit: async () => startedBy(await bench.service(FirewallPolicyService).delete(bench.access, id)).operationId };
    },
  },
  {
    kind: 'network.firewall.repair',
    mendedLater: true,
    async prepare(stage) {
      await guarded.make(stage);
      await finished(stage, await startPolicy(stage));
      const { network } = await stage.bench.house.drivers.driver(stage.backendId);
      await network.removeFirewall(call(), (await stage.bench.database.first(installation))?.id ?? '');
      return { submit: () => repair(stage, 'network.firewall.repair') };
    },
  },
];
