import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MuonError } from '#core';
import { applyRows, ChangeSet, insertRows, ROWS, statement } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { operationsRoom } from '#operations';
import { quotaRoom, registerQuotaSections, QuotaLedger } from '#quota';
import { registerScopeSections, scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { accessWith, newTenant, roomDatabase, systemAccess, type RoomDatabase, type TestTenant } from '#testing';
import { planNetwork, planPorts, planPortRemoval, registerNetworkSections, networkRoom, type PortRequest } from '../index.js';
import { planSubnet, subnetSchema } from '../subnet/subnet-plan.js';
import { ADDRESS_CLAIMS } from './address-claims.js';

const allocated = statement<{ address: string; owner_id: string }, [subnetId: string]>(
  'spec.allocated',
  'SELECT host(address) AS address, owner_id FROM address_allocation WHERE subnet_id = $1',
);
const used = statement<{ used_amount: number }, [scopeId: string, key: string]>(
  'spec.used',
  `SELECT used_amount FROM quota_counter WHERE scope_id = $1 AND resource_key = $2 AND zone_id = ''`,
);

const waiting = statement<{ sessions: number }>(
  'spec.addresses_waiting',
  `SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);

describe('addresses', () => {
  let room: RoomDatabase;
  let commands: CommandRunner;
  let tenant: TestTenant;
  const access = systemAccess();
  let owners = 0;

  beforeAll(async () => {
    room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, networkRoom]);
    const backend = { id: 'bck_1', name: 'spec', kind: 'none', endpoint: 'none' };
    await room.database.transaction((transaction) => insertRows(transaction, 'backend', [backend]));
    room.applier.register(ROWS, applyRows);
    registerScopeSections(room.applier);
    registerQuotaSections(room.applier, new QuotaLedger());
    registerNetworkSections(room.applier);
    commands = new CommandRunner(room.database, room.applier, room.log);
    tenant = await newTenant(room.database, 4);
  });
  afterAll(() => room.close());

  const project = (index = 0): string => tenant.projectIds[index] ?? '';
  const place = (index = 0) => ({ tenantId: tenant.id, projectId: project(index) });
  const run = (name: string, plan: () => Promise<ChangeSet>) =>
    commands.run({ access, name, input: {}, place: place() }, plan);

  async function makeNetwork(name: string, cidr: string, index = 0): Promise<{ networkId: string; subnetId: string }> {
    const { result } = await commands.run({ access, name: 'createNetwork', input: {}, place: place(index) }, async (reader) => {
      const planned = await planNetwork(reader, access, { projectId: project(index), name, subnet: { cidr } });
      planned.changes.result = { networkId: planned.networkId, subnetId: planned.subnet?.id ?? '' };
      return planned.changes;
    });
    return result as { networkId: string; subnetId: string };
  }

  function request(networkId: string, index = 0): PortRequest {
    owners += 1;
    const ownerId = `vm_${owners}`;
    return { name: `machine-${owners}`, networkId, ownerId, ...place(index), hostId: 'hst_1', backendId: 'bck_1', zoneId: null };
  }

  async function makePorts(networkId: string, amount: number, index = 0): Promise<{ address: string; portId: string }[]> {
    let made: { address: string; portId: string }[] = [];
    await commands.run({ access, name: 'createPorts', input: {}, place: place(index) }, async (reader) => {
      const { changes, ports } = await planPorts(reader, access, Array.from({ length: amount }, () => request(networkId, index)));
      made = ports;
      return changes;
    });
    return made;
  }

  it('gives 200 parallel claims in a /24 distinct addresses, and then exactly as many as are free', async () => {
    const { networkId, subnetId } = await makeNetwork('race', '10.0.0.0/24');
    const first = await Promise.all(Array.from({ length: 200 }, () => makePorts(networkId, 1)));
    expect(new Set(first.flat().map((port) => port.address)).size).toBe(200);
    const second = await Promise.allSettled(Array.from({ length: 200 }, () => makePorts(networkId, 1)));
    const refused = second.flatMap((each) => (each.status === 'rejected' ? [each.reason as MuonError] : []));
    // 256 less the block's own, its broadcast address, the gateway and the one for health checks.
    expect(second.length - refused.length).toBe(52);
    expect(new Set(refused.map((error) => `${error.code}/${error.fault}/${error.retryable}`))).toEqual(new Set(['INSUFFICIENT_CAPACITY/USER/false']));
    expect(refused[0]?.message).toContain('"default" (10.0.0.0/24, 252 of 252 used)');
    const rows = await room.database.rows(allocated, subnetId);
    expect(rows.filter((row) => row.owner_id === subnetId)).toEqual([{ address: '10.0.0.254', owner_id: subnetId }]);
    const addresses = rows.map((row) => row.address);
    expect(addresses).toHaveLength(253);
    expect(addresses).not.toContain('10.0.0.0');
    expect(addresses).not.toContain('10.0.0.1');
    expect(addresses).not.toContain('10.0.0.255');
    expect((await room.database.first(used, project(), 'port.count'))?.used_amount).toBe(252);
  }, 60_000);

  it('takes the last address of a block, and one that was given back', async () => {
    const { networkId } = await makeNetwork('small', '10.0.1.0/29', 1);
    const four = await makePorts(networkId, 4, 1);
    expect(four.map((port) => port.address).sort()).toEqual(['10.0.1.2', '10.0.1.3', '10.0.1.4', '10.0.1.5']);
    await expect(makePorts(networkId, 1, 1)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { free: 0, requested: 1 } });
    const [gone] = four;
    await run('removePorts', async () => planPortRemoval([gone?.portId ?? '']));
    const [again] = await makePorts(networkId, 1, 1);
    expect(again?.address).toBe(gone?.address);
    expect((await room.database.first(used, project(1), 'port.count'))?.used_amount).toBe(4);
  });

  it('plans a set at once, all or nothing, going on to the next subnet', async () => {
    const made = await makeNetwork('two-subnets', '10.0.2.0/29', 1);
    await expect(makePorts(made.networkId, 5, 1)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', data: { free: 4, requested: 5 } });
    expect(await room.database.rows(allocated, made.subnetId)).toEqual([{ address: '10.0.2.6', owner_id: made.subnetId }]);
    const second = statement<never, [networkId: string]>(
      'spec.second_subnet',
      `INSERT INTO subnet (id, tenant_id, project_id, network_id, name, cidr, gateway, pools, lifecycle)
       SELECT 'sub_zzzz', tenant_id, project_id, network_id, 'more', '10.0.3.0/28', '10.0.3.1',
         '[{"first":"10.0.3.1","last":"10.0.3.2"},{"first":"10.0.3.9","last":"10.0.3.9"}]', 'PRESENT' FROM subnet WHERE network_id = $1`,
    );
    await room.database.transaction((transaction) => transaction.execute(second, made.networkId));
    const six = await makePorts(made.networkId, 6, 1);
    expect(six.map((port) => port.address).filter((address) => address.startsWith('10.0.3.')).sort()).toEqual(['10.0.3.2', '10.0.3.9']);
    await expect(makePorts(made.networkId, 1, 1)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  });

  it('lets one change set make a network and use it', async () => {
    const { networkId, ports } = await room.database.transaction(async (transaction) => {
      const changes = new ChangeSet();
      const network = await planNetwork(transaction, access, { projectId: project(2), name: 'own', subnet: {} });
      changes.include(network.changes);
      const requests = [request(network.networkId, 2), request(network.networkId, 2)];
      const one = await planPorts(transaction, access, requests, changes);
      changes.include(one.changes);
      const other = await planPorts(transaction, access, [request(network.networkId, 2)], changes);
      changes.include(other.changes);
      await room.applier.apply(transaction, changes, { principalId: null, requestId: null });
      return { networkId: network.networkId, ports: [...one.ports, ...other.ports] };
    });
    expect(new Set(ports.map((port) => port.address)).size).toBe(3);
    expect(await makePorts(networkId, 1, 2)).toHaveLength(1);
  });

  it('chooses in a full /16 what alone is free, and few of many in time', async () => {
    const { networkId, subnetId } = await makeNetwork('large', '10.64.0.0/16', 2);
    const fill = statement<never, [subnetId: string, free: string]>(
      'spec.fill',
      `INSERT INTO address_allocation (subnet_id, address, owner_id, tenant_id, project_id)
       SELECT s.id, '10.64.0.2'::inet + n, 'filler', s.tenant_id, s.project_id FROM subnet AS s, generate_series(0, 65532) AS n
       WHERE s.id = $1 AND '10.64.0.2'::inet + n NOT IN ($2::inet, s.health_check_address)`,
    );
    await room.database.transaction((transaction) => transaction.execute(fill, subnetId, '10.64.77.7'));
    const [port] = await makePorts(networkId, 1, 2);
    expect(port?.address).toBe('10.64.77.7');
    await expect(makePorts(networkId, 1, 2)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  });

  it('refuses overlapping blocks of a project that come by two connections, and lets others have them', async () => {
    const results = await Promise.allSettled([
      makeNetwork('one', '10.100.0.0/20', 3),
      makeNetwork('other', '10.100.8.0/24', 3),
    ]);
    expect(results.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    const [refused] = results.flatMap((each) => (each.status === 'rejected' ? [each.reason as MuonError] : []));
    expect(refused).toMatchObject({ code: 'INVALID_INPUT', field: 'input.subnet.cidr' });
    expect(refused?.message).toMatch(/overlaps the subnet "default" \(10\.100\.[08]\.0\/2[04]\)/);
    const stranger = await newTenant(room.database);
    const { result } = await commands.run(
      { access, name: 'createNetwork', input: {}, place: { tenantId: stranger.id, projectId: stranger.projectIds[0] ?? '' } },
      async (reader) => {
        const planned = await planNetwork(reader, access, {
          projectId: stranger.projectIds[0] ?? '',
          name: 'same-range',
          subnet: { cidr: '10.100.0.0/20' },
        });
        planned.changes.result = { id: planned.networkId };
        return planned.changes;
      },
    );
    expect(result.id).toMatch(/^net_/);
  });

  it('holds the guard in the database when two plans saw the same free range', async () => {
    const plans = await room.database.transaction(async (transaction) =>
      Promise.all(['left', 'right'].map((name) => planNetwork(transaction, access, { projectId: project(3), name, subnet: { cidr: '10.101.0.0/24' } }))),
    );
    const results = await Promise.allSettled(
      plans.map((plan) =>
        room.database.transaction((transaction) => room.applier.apply(transaction, plan.changes, { principalId: null, requestId: null })),
      ),
    );
    expect(results.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected']);
    const [lost] = results.flatMap((each) => (each.status === 'rejected' ? [each.reason as MuonError] : []));
    expect(lost).toMatchObject({ code: 'CONFLICT', data: { fact: 'subnet' } });
  });

  it('chooses different blocks for networks that are made at once without naming one', async () => {
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
      commands.run({ access, name: 'createNetwork', input: {}, place: place(3) }, async (reader) =>
        (await planNetwork(reader, access, { projectId: project(3), name, subnet: {} })).changes,
      ),
    ));
  });

  const closing = (kind: 'NETWORK' | 'SUBNET', ids: { networkId: string; subnetId: string }): ChangeSet =>
    kind === 'NETWORK'
      ? new ChangeSet()
          .add(ADDRESS_CLAIMS, { action: 'CLOSE_NETWORK', networkId: ids.networkId })
          .add(ROWS, { table: 'network', update: { lifecycle: 'DELETING' }, id: ids.networkId, version: 1 })
      : new ChangeSet()
          .add(ADDRESS_CLAIMS, { action: 'CLOSE_SUBNET', ...ids })
          .add(ROWS, { table: 'subnet', update: { lifecycle: 'DELETING' }, id: ids.subnetId, version: 1 });

  /** Applies one change set, lets the other wait for its locks on a second connection, commits, and returns the other's end. */
  async function inOrder(first: ChangeSet, second: ChangeSet): Promise<unknown> {
    const nobody = { principalId: null, requestId: null };
    const [applied, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const one = room.database.transaction(async (transaction) => {
      await room.applier.apply(transaction, first, nobody);
      applied.resolve();
      await release.promise;
    });
    await applied.promise;
    const other = room.database
      .transaction((transaction) => room.applier.apply(transaction, second, nobody))
      .then(() => 'APPLIED', (error: unknown) => (error as MuonError).code);
    await expect.poll(async () => (await room.database.first(waiting))?.sessions).toBeGreaterThan(0);
    release.resolve();
    await one;
    return other;
  }

  it.each(['NETWORK', 'SUBNET'] as const)('lets nobody into a closing %s, whoever comes first', async (kind) => {
    const block = kind === 'NETWORK' ? 102 : 104;
    for (const [round, isCloseFirst] of [true, false].entries()) {
      const ids = await makeNetwork(`closing-${kind.toLowerCase()}-${round}`, `10.${block}.${round}.0/24`, 3);
      const { changes: entry } = await planPorts(room.database, access, [request(ids.networkId, 3)]);
      const close = closing(kind, ids);
      expect(await (isCloseFirst ? inOrder(close, entry) : inOrder(entry, close))).toBe('INVALID_STATE');
    }
  });

  it('adds no subnet to a network that is going', async () => {
    const ids = await makeNetwork('going', '10.105.0.0/24', 3);
    const extend = new ChangeSet().add(ADDRESS_CLAIMS, { action: 'EXTEND_NETWORK', networkId: ids.networkId });
    await room.database.transaction((transaction) =>
      planSubnet(transaction, extend, { ...ids, ...place(3), lifecycle: 'PRESENT' }, subnetSchema.parse({ name: 'late' }), 'input'),
    );
    expect(await inOrder(closing('NETWORK', ids), extend)).toBe('INVALID_STATE');
  });

  it('does not show or lend a network to those who may not use it', async () => {
    const { networkId } = await makeNetwork('private', '10.103.0.0/24', 3);
    const stranger = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: project(0) }]);
    await expect(planPorts(room.database, stranger, [request(networkId, 3)])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    // Its own project's machine in another project's network.
    await expect(planPorts(room.database, access, [request(networkId, 0)])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
