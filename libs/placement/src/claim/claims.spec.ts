import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { ChangeSet, ChangeSetApplier, LostRace, statement, type Database } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import {
  applyDatastoreClaims,
  applyHostClaims,
  auditClaims,
  HOST_CLAIMS,
  placeMachines,
  placementRoom,
  registerPlacementSections,
  releaseClaims,
  type HostClaim,
} from '#placement';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { roomDatabase, systemAccess, type RoomDatabase } from '#testing';
import { makeDatacenter, type Datacenter } from '../fixtures.js';

let room: RoomDatabase;
let center: Datacenter;

interface Claimed {
  cpu_claimed: number;
  memory_claimed_mib: number;
}

const claimed = statement<Claimed, [hostId: string]>(
  'spec.claims_of_host',
  'SELECT cpu_claimed, memory_claimed_mib FROM host_capacity WHERE host_id = $1',
);
const totals = statement<{ claims: number; cpu: number; over: number }>(
  'spec.claims_total',
  `SELECT (SELECT count(*) FROM host_claim) AS claims, sum(cpu_claimed)::bigint AS cpu,
     count(*) FILTER (WHERE cpu_claimed > cpu_limit OR memory_claimed_mib > memory_limit_mib) AS over
   FROM host_capacity`,
);
const waiting = statement<{ sessions: number }>(
  'spec.claims_waiting',
  `SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);
const followed = statement<unknown, [hostId: string, datastoreId: string]>(
  'spec.claims_followed',
  `SELECT h.state, h.cpu_limit, h.memory_limit_mib, h.traits, h.rack_id, d.limit_gib AS gib, d.kind
   FROM host_capacity AS h, datastore_capacity AS d WHERE h.host_id = $1 AND d.datastore_id = $2`,
);
const changeHost = statement<never, [id: string]>(
  'spec.claims_change_host',
  `UPDATE host SET health = 'DOWN', cpu_overcommit = 4.25, memory_overcommit = 1.5, traits = '{ssd}', labels = '{gpu}', rack_id = NULL WHERE id = $1`,
);
const changeDatastore = statement<never, [id: string]>(
  'spec.claims_change_datastore',
  `UPDATE datastore SET overcommit = 1.5, kind = 'fast' WHERE id = $1`,
);
const setIntent = statement<never, [id: string, intent: string]>('spec.claims_intent', 'UPDATE host SET intent = $2 WHERE id = $1');
const break1 = statement<never, [id: string]>('spec.claims_break', 'UPDATE host_capacity SET cpu_claimed = cpu_claimed + 3 WHERE host_id = $1');
const mend = statement<never, [id: string]>('spec.claims_mend', 'UPDATE host_capacity SET cpu_claimed = cpu_claimed - 3 WHERE host_id = $1');
const removeHost = statement<never, [id: string]>('spec.claims_remove_host', 'DELETE FROM host WHERE id = $1');

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, infrastructureRoom, placementRoom]);
  registerPlacementSections(room.applier);
});
beforeEach(async () => {
  center = await makeDatacenter(room.database, { zones: 1, racksPerZone: 1, hostsPerRack: 5, cpu: 10, memoryMib: 1000, sharedGib: 100 });
});
afterAll(() => room.close());

const host = (index: number): string => center.hosts[index]?.id ?? '';
const claim = (resourceId: string, hostId: string, cpu = 1, memoryMib = 10): HostClaim => ({
  action: 'CLAIM',
  resourceId,
  hostId,
  tenantId: 'ten_1',
  projectId: 'prj_1',
  cpu,
  memoryMib,
});

async function apply(...claims: HostClaim[]): Promise<void> {
  await room.database.transaction(async (transaction) => applyHostClaims(transaction, claims));
}

async function usage(hostId: string): Promise<[cpu: number, memory: number]> {
  const row = await room.database.first(claimed, hostId);
  return [row?.cpu_claimed ?? -1, row?.memory_claimed_mib ?? -1];
}

const drift = async (): Promise<unknown[]> => auditClaims(room.database);

let unique = 0;
const vm = (): string => `vm_${(unique += 1)}`;

it('claims exactly 50 of 200 at a capacity of 50, whoever comes first', async () => {
  const second = await room.another();
  const applier = new ChangeSetApplier();
  registerPlacementSections(applier);
  const runners = [room.database, second].map((database: Database) => new CommandRunner(database, applier, room.log));
  const create = async (index: number): Promise<unknown> => {
    const access = systemAccess();
    const resourceId = vm();
    const place = { tenantId: null, projectId: null };
    return (runners[index % 2] as CommandRunner).run({ access, name: 'spec', input: {}, place }, async (reader) => {
      const machine = { resourceId, cpu: 1, memoryMib: 10, diskGib: 0 };
      const { placements } = await placeMachines(reader, { zoneIds: center.zoneIds, machines: [machine] });
      return new ChangeSet().add(HOST_CLAIMS, ...placements.map((each) => claim(resourceId, each.hostId)));
    });
  };
  const before = await room.database.first(totals);
  const results = await Promise.allSettled(Array.from({ length: 200 }, (_, index) => create(index)));
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(50);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
  }
  const after = await room.database.first(totals);
  expect(after).toEqual({ claims: (before?.claims ?? 0) + 50, cpu: (before?.cpu ?? 0) + 50, over: 0 });
  expect(await drift()).toEqual([]);
});

it('takes all claims of a set or none', async () => {
  await apply(claim(vm(), host(0), 10));
  const set = [claim(vm(), host(1)), claim(vm(), host(0)), claim(vm(), host(2))];
  await expect(apply(...set)).rejects.toBeInstanceOf(LostRace);
  expect(await usage(host(1))).toEqual([0, 0]);
  expect(await usage(host(2))).toEqual([0, 0]);
});

it('lets sets in opposite orders pass without a deadlock and without overshooting', async () => {
  const rounds = Array.from({ length: 40 }, async (_, round) => {
    const hosts = round % 2 === 0 ? [0, 1, 2, 3, 4] : [4, 3, 2, 1, 0];
    const set = hosts.map((index) => claim(vm(), host(index)));
    await room.database.transaction(async (transaction) => applyHostClaims(transaction, set), { attempts: 1 });
  });
  const results = await Promise.allSettled(rounds);
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(10);
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(LostRace);
  for (const index of [0, 1, 2, 3, 4]) expect(await usage(host(index))).toEqual([10, 100]);
});

it('refuses newcomers, but not those who leave or grow, on a host that was suspended in between', async () => {
  const stays = vm();
  await apply(claim(stays, host(0)));
  await room.database.transaction(async (transaction) => transaction.execute(setIntent, host(0), 'SUSPENDED'));
  await expect(apply(claim(vm(), host(0)))).rejects.toBeInstanceOf(LostRace);
  await apply({ action: 'RESIZE', resourceId: stays, cpu: 4, memoryMib: 40 });
  expect(await usage(host(0))).toEqual([4, 40]);
  await apply({ action: 'RELEASE', resourceId: stays });
  expect(await usage(host(0))).toEqual([0, 0]);
});

it('makes a claim wait for the transaction that suspends the host, and then refuses it', async () => {
  const locked = Promise.withResolvers<void>();
  const mayCommit = Promise.withResolvers<void>();
  const suspending = room.database.transaction(async (transaction) => {
    await transaction.execute(setIntent, host(0), 'SUSPENDED');
    locked.resolve();
    await mayCommit.promise;
  });
  await locked.promise;
  const claiming = apply(claim(vm(), host(0))).catch((error: unknown) => error);
  await vi.waitFor(async () => expect(await room.database.first(waiting)).toEqual({ sessions: 1 }), { timeout: 10_000 });
  mayCommit.resolve();
  await suspending;
  expect(await claiming).toBeInstanceOf(LostRace);
});

it('holds both hosts while a machine moves, and settles on either', async () => {
  const mover = vm();
  await apply(claim(mover, host(0), 2, 20));
  await apply({ action: 'MOVE', resourceId: mover, hostId: host(1) });
  await apply({ action: 'MOVE', resourceId: mover, hostId: host(1) });
  expect([await usage(host(0)), await usage(host(1))]).toEqual([[2, 20], [2, 20]]);
  await apply({ action: 'RESIZE', resourceId: mover, cpu: 3, memoryMib: 30 });
  expect([await usage(host(0)), await usage(host(1))]).toEqual([[3, 30], [3, 30]]);
  await apply({ action: 'SETTLE', resourceId: mover, hostId: host(1) });
  expect([await usage(host(0)), await usage(host(1))]).toEqual([[0, 0], [3, 30]]);
  await room.database.transaction(async (transaction) => releaseClaims(transaction, [mover, 'vm_never']));
  expect(await usage(host(1))).toEqual([0, 0]);
  expect(await drift()).toEqual([]);
});

it('does not grow beyond the limit', async () => {
  const grows = vm();
  await apply(claim(grows, host(0), 4), claim(vm(), host(0), 5));
  await expect(apply({ action: 'RESIZE', resourceId: grows, cpu: 6, memoryMib: 10 })).rejects.toBeInstanceOf(LostRace);
  await apply({ action: 'RESIZE', resourceId: grows, cpu: 5, memoryMib: 10 });
  expect(await usage(host(0))).toEqual([10, 20]);
});

it('keeps a host from going while something is claimed of it', async () => {
  await apply(claim(vm(), host(3)));
  const remove = room.database.transaction(async (transaction) => transaction.execute(removeHost, host(3)));
  await expect(remove).rejects.toMatchObject({ code: 'INVALID_STATE', data: { fact: 'host' } });
});

it('follows what operators and heartbeats change of hosts and datastores', async () => {
  const row = async (): Promise<unknown> => room.database.first(followed, host(1), center.sharedDatastoreId ?? '');
  expect(await row()).toEqual({ state: 'ACTIVE', cpu_limit: 10, memory_limit_mib: 1000, traits: [], rack_id: center.rackIds[0], gib: 100, kind: 'shared' });
  await room.database.transaction(async (transaction) => {
    await transaction.execute(changeHost, host(1));
    await transaction.execute(changeDatastore, center.sharedDatastoreId ?? '');
  });
  expect(await row()).toEqual({ state: 'DOWN', cpu_limit: 42, memory_limit_mib: 1500, traits: ['ssd', 'gpu'], rack_id: null, gib: 150, kind: 'fast' });
});

it('counts datastores likewise', async () => {
  const datastoreId = center.sharedDatastoreId ?? '';
  const take = async (resourceId: string, gib: number): Promise<void> =>
    room.database.transaction(async (transaction) =>
      applyDatastoreClaims(transaction, [{ action: 'CLAIM', resourceId, datastoreId, tenantId: 'ten_1', projectId: 'prj_1', gib }]),
    );
  await take('dsk_1', 60);
  await expect(take('dsk_2', 41)).rejects.toBeInstanceOf(LostRace);
  await room.database.transaction(async (transaction) => applyDatastoreClaims(transaction, [{ action: 'RESIZE', resourceId: 'dsk_1', gib: 100 }]));
  await room.database.transaction(async (transaction) => applyDatastoreClaims(transaction, [{ action: 'RELEASE', resourceId: 'dsk_1' }]));
  await take('dsk_2', 41);
  expect(await drift()).toEqual([]);
});

it('finds every difference between sums and claims', async () => {
  await room.database.transaction(async (transaction) => transaction.execute(break1, host(2)));
  expect(await drift()).toEqual([
    { kind: 'HOST', holder_id: host(2), resource: 'CPU', counted: 3, claimed: 0 },
  ]);
  await room.database.transaction(async (transaction) => transaction.execute(mend, host(2)));
  expect(await drift()).toEqual([]);
});
