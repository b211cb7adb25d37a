import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { insertRows, statement, type Reader } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { findHosts, findHostsBehind, hostConditions, infrastructureRoom, type HostCondition } from '#infrastructure';
import { defineOperation, done, operationId, OPERATIONS, operationsRoom, type OperationKind, type ReconcilerContext } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { tenancyRoom } from '#tenancy';
import { newTenant, roomDatabase, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import {
  FirewallPolicyService,
  networkCatchUp,
  networkOperations,
  NetworkRealiser,
  networkRoom,
  NetworkService,
  planPorts,
  registerNetworkSections,
  SecurityGroupService,
} from '../index.js';

const outputs = statement<{ output: unknown }, [operationId: string]>(
  'spec.catch_up_outputs',
  'SELECT output FROM operation_step WHERE operation_id = $1 AND output IS NOT NULL',
);

/** A machine of nothing but ports, as compute will make them. */
function portKind(realiser: NetworkRealiser): OperationKind<unknown> {
  const input = z.strictObject({ portIds: z.array(z.string()) });
  return defineOperation<z.output<typeof input>>({
    kind: 'spec.machine.create',
    version: 1,
    input,
    deadlineMs: 60_000,
    steps: [{ name: 'ports', run: (context) => realiser.ensurePorts(context, context.operation.input.portIds), undo: async () => done() }],
  }) as OperationKind<unknown>;
}

let room: RoomDatabase;
let center: TestDatacenter;
let tenant: TestTenant;
let groupId: string;
let policies: FirewallPolicyService;
let groups: SecurityGroupService;
const access = systemAccess();
const HOST = 'host-1';

beforeAll(async () => {
  room = await roomDatabase([
    secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom, networkRoom,
  ]);
  center = await testDatacenter(room, {
    sections: registerNetworkSections,
    kinds: (drivers) => {
      const realiser = new NetworkRealiser(drivers, { settleMs: 150 });
      return [...networkOperations(realiser), portKind(realiser)];
    },
  });
  groups = new SecurityGroupService(center.commands, center.ledger, center.drivers);
  policies = new FirewallPolicyService(center.commands);
  tenant = await newTenant(room.database, 1);
  await room.database.transaction((transaction) =>
    insertRows(transaction, 'tenant', [{ id: tenant.id, tenant_id: tenant.id, display_name: tenant.name, all_zones: true }]),
  );
  const place = { tenantId: tenant.id, projectId: tenant.projectIds[0] ?? '' };
  const { result } = await new NetworkService(center.commands, center.ledger).create(access, { projectId: place.projectId, name: 'net', subnet: {} });
  groupId = String((await groups.create(access, { projectId: place.projectId, name: 'web', rules: [] })).result.id);
  const id: string = operationId.create();
  await center.commands.run({ access, name: 'createMachine', input: {}, place }, async (reader) => {
    const request = { name: 'machine', networkId: String(result.id), ownerId: `vm_${id}`, ...place, hostId: center.hostIds[0] ?? '', backendId: center.backendId, zoneId: null };
    const planned = await planPorts(reader, access, [{ ...request, securityGroupIds: [groupId] }]);
    const input = { portIds: planned.ports.map((port) => port.portId) };
    return planned.changes.add(OPERATIONS, { id, kind: 'spec.machine.create', resourceKind: 'vm', resourceId: `vm_${id}`, ...place, input });
  });
  expect(await center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
});
afterAll(async () => {
  await center.close();
  await room.close();
});

async function condition(): Promise<HostCondition | undefined> {
  const [host] = await room.database.rows(findHosts, [center.hostIds[0] ?? '']);
  return host === undefined ? undefined : hostConditions(host).find(({ type }) => type === 'NETWORK_CURRENT');
}

async function look(reader: Reader = room.database): Promise<void> {
  const context: ReconcilerContext = {
    signal: AbortSignal.timeout(10_000),
    fence: 1,
    reader,
    log: room.log,
    submit: () => Promise.reject(new Error('nothing is to be changed')),
  };
  await networkCatchUp(room.database, center.drivers, { patienceMs: 0 }).run(context);
}

/** A change that the host does not take over. @returns its operation */
async function missed(port: number): Promise<string> {
  await center.world.setHost(HOST, 'PARTITIONED');
  const changed = await groups.update(access, { id: groupId, rules: [{ direction: 'INGRESS', protocol: 'TCP', ports: { from: port } }] });
  expect(await center.ended(changed.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  return String(changed.result.operationId);
}

it('a change that a dead host has not taken over is told, and so is the host until it has', async () => {
  expect(await condition()).toMatchObject({ status: 'TRUE' });
  const changed = await missed(80);
  expect(await room.database.rows(outputs, changed)).toEqual([{ output: { proof: { pendingHosts: 1 } } }]);
  expect(await condition()).toMatchObject({ status: 'FALSE', reason: expect.stringContaining('did not answer') as string });

  // It answers its own backend again, and yet not the network's.
  await look();
  expect(await condition()).toMatchObject({ status: 'FALSE', reason: expect.stringContaining('network agent') as string });
  await center.world.setHost(HOST, 'ALIVE');
  await look();
  expect(await condition()).toEqual({ type: 'NETWORK_CURRENT', status: 'TRUE', reason: null, since: null });
});

it('a change that it misses while it is asked is asked for, too', async () => {
  await missed(81);
  const reader: Reader = {
    first: async (query, ...parameters) => room.database.first(query, ...parameters),
    rows: async (query, ...parameters) => {
      const rows = await room.database.rows(query, ...parameters);
      if (query.name !== findHostsBehind.name) return rows;
      await missed(82);
      await center.world.setHost(HOST, 'ALIVE');
      return rows;
    },
  };
  await look(reader);
  expect(await condition()).toMatchObject({ status: 'FALSE', reason: expect.stringContaining('did not answer') as string });
  await look();
  expect(await condition()).toMatchObject({ status: 'TRUE' });
});

it('operators are told which hosts', async () => {
  await center.world.setHost(HOST, 'DEAD');
  const made = await policies.create(access, { name: 'no-shell', rules: [{ action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: { from: 22 } }] });
  expect(await center.ended(made.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await room.database.rows(outputs, String(made.result.operationId))).toEqual([{ output: { proof: { pendingHosts: 1, pendingHostNames: [HOST] } } }]);
  await center.world.setHost(HOST, 'ALIVE');
  await look();
  expect(await condition()).toMatchObject({ status: 'TRUE' });
});
