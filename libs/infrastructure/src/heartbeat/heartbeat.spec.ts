import { afterAll, beforeAll, expect, it } from 'vitest';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { findBackends, hostConditions, hosts, hostState, infrastructureRoom, type Heartbeat, type HostRow, type HostStateChange } from '#infrastructure';
import { operationsRoom } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';
import { recordBeat } from './heartbeat.sql.js';

let room: RoomDatabase;
let bench: InfrastructureBench;
let patient: Heartbeat;
let strict: Heartbeat;
const told: HostStateChange[] = [];
const signal = new AbortController().signal;

const heard = statement<{ name: string; beats: number; load: boolean }, [backendId: string]>(
  'spec.heartbeat_heard',
  `SELECT h.name, b.beats, b.cpu_percent IS NOT NULL AND b.memory_used_mib IS NOT NULL AS load
   FROM host_heartbeat AS b JOIN host AS h ON h.id = b.host_id WHERE h.backend_id = $1 ORDER BY h.name`,
);
const hostEvents = statement<{ events: number }, [backendId: string]>(
  'spec.heartbeat_events',
  `SELECT count(*) AS events FROM event AS e JOIN host AS h ON h.id = e.resource_id WHERE h.backend_id = $1`,
);

/** Nobody has looked for ten minutes, nor asked a fence. */
const lookAway = statement<never, [backendId: string]>(
  'spec.heartbeat_gap',
  `UPDATE host_heartbeat SET observed_at = observed_at - interval '10 minutes', last_seen_at = last_seen_at - interval '10 minutes',
     silent_since = silent_since - interval '10 minutes', fence_asked_at = fence_asked_at - interval '10 minutes'
   WHERE host_id IN (SELECT id FROM host WHERE backend_id = $1)`,
);
/** A minute passes, with looks in it. */
const passMinute = statement<never, [backendId: string]>(
  'spec.heartbeat_minute',
  `UPDATE host_heartbeat SET silent_since = silent_since - interval '1 minute' WHERE host_id IN (SELECT id FROM host WHERE backend_id = $1)`,
);

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
  bench.news.register({ name: 'spec', hostStatesChanged: async (changes) => void told.push(...changes) });
  patient = bench.heartbeat();
  // Silence counts at once, so each look is a step that the spec decides on.
  strict = bench.heartbeat({ silentAfterMs: 0, beatsToReturn: 3, fenceAgainAfterMs: 0 });
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

async function hostsOf(backendId: string): Promise<HostRow[]> {
  return (await hosts.page(room.database, [null, null, backendId, null, null], 'NAME', {})).rows;
}
const write = async (text: typeof lookAway, backendId: string): Promise<void> =>
  room.database.transaction(async (transaction) => void (await transaction.execute(text, backendId)));
const statesOf = async (backendId: string): Promise<string[]> => (await hostsOf(backendId)).map(hostState);
const news = (backendId: string): string[] =>
  told.filter((change) => change.host.backend_id === backendId).map((change) => `${change.host.name}: ${change.before} → ${change.after}`);

it('writes down who lives and how loaded, and changes no host for that', async () => {
  const { backendId } = await bench.datacenter({ count: 3 });
  await patient.lookAt(backendId, signal);
  const before = await room.database.first(hostEvents, backendId);
  await patient.lookAt(backendId, signal);
  expect(await room.database.rows(heard, backendId)).toEqual([1, 2, 3].map((number) => ({ name: `host-${number}`, beats: 3, load: true })));
  expect(await room.database.first(hostEvents, backendId)).toEqual(before);
});

it('does not take a short silence for death, nor a single missed beat', async () => {
  const { backendId, world } = await bench.datacenter({ count: 2 });
  await patient.lookAt(backendId, signal);
  await world.setHost('host-1', 'DEAD');
  for (let look = 0; look < 5; look += 1) await patient.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE']);
  await world.setHost('host-1', 'ALIVE');
  await strict.lookAt(backendId, signal);
  await world.setHost('host-1', 'DEAD');
  await strict.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE']);
  expect(news(backendId)).toEqual([]);
});

it('gives a host the whole time to answer when nobody has looked for long', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await patient.lookAt(backendId, signal);
  await world.setHost('host-1', 'DEAD');
  await write(lookAway, backendId);
  for (let look = 0; look < 3; look += 1) await patient.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  await write(passMinute, backendId);
  await patient.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['FENCED', 'ACTIVE', 'ACTIVE']);
});

it('does not fence a host that was down before nobody looked for long, until it had the time to answer', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await strict.lookAt(backendId, signal);
  await world.setHost('host-1', 'PARTITIONED');
  for (let look = 0; look < 2; look += 1) await strict.lookAt(backendId, signal);
  await world.setHost('host-1', 'DEAD');
  await write(lookAway, backendId);
  for (let look = 0; look < 3; look += 1) await patient.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ health: 'DOWN', fence: 'UNKNOWN' });
  await write(passMinute, backendId);
  await patient.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ health: 'DOWN', fence: 'PROVEN_OFF' });
});

it('finds a dead host down, proves it off, and takes it back when it was seen three times in a row', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await strict.lookAt(backendId, signal);
  await world.setHost('host-2', 'DEAD');
  await strict.lookAt(backendId, signal);
  await strict.lookAt(backendId, signal);
  const [, down] = await hostsOf(backendId);
  expect(down).toMatchObject({ health: 'DOWN', fence: 'PROVEN_OFF', fence_source: 'BACKEND', version: 1 });
  expect(down?.health_reason).toContain('does not answer');
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'FENCED', 'ACTIVE']);
  expect(news(backendId)).toEqual(['host-2: ACTIVE → DOWN', 'host-2: DOWN → FENCED']);
  await world.setHost('host-2', 'ALIVE');
  await strict.lookAt(backendId, signal);
  await strict.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'FENCED', 'ACTIVE']);
  await strict.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[1]).toMatchObject({ health: 'UP', health_reason: null, fence: 'NONE', fence_source: null, fence_reason: null });
  expect(news(backendId).at(-1)).toBe('host-2: FENCED → ACTIVE');
  // Its network may have been told something meanwhile; the others were not away.
  const network = (await hostsOf(backendId)).map((host) => hostConditions(host).find(({ type }) => type === 'NETWORK_CURRENT')?.status);
  expect(network).toEqual(['TRUE', 'FALSE', 'TRUE']);
});

it('never claims that a host which is cut off is off; an operator may', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await strict.lookAt(backendId, signal);
  await world.setHost('host-1', 'PARTITIONED');
  for (let look = 0; look < 3; look += 1) await strict.lookAt(backendId, signal);
  const [cut] = (await hostsOf(backendId)) as [HostRow];
  expect(cut).toMatchObject({ health: 'DOWN', fence: 'UNKNOWN', fence_source: 'BACKEND' });
  expect(cut.fence_since).toBeInstanceOf(Date);
  await bench.hosts.attestOff(systemAccess(), { id: cut.id, reason: 'pulled both plugs' });
  await strict.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ fence: 'PROVEN_OFF', fence_source: 'OPERATOR', fence_reason: 'pulled both plugs' });
});

it('does not turn off a host that has begun to answer again', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await strict.lookAt(backendId, signal);
  await world.setHost('host-1', 'PARTITIONED');
  for (let look = 0; look < 2; look += 1) await strict.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ health: 'DOWN', fence: 'UNKNOWN' });
  await world.setHost('host-1', 'ALIVE');
  for (let look = 0; look < 3; look += 1) await strict.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ health: 'UP', fence: 'NONE' });
  expect(news(backendId)).toEqual(['host-1: ACTIVE → DOWN', 'host-1: DOWN → ACTIVE']);
});

it('looks on while it fences, and lets those alone that have come back meanwhile', async () => {
  const { backendId, world } = await bench.datacenter({ count: 5 });
  await bench.backends.update(systemAccess(), { id: backendId, callTimeoutMs: 5000 });
  await strict.lookAt(backendId, signal);
  for (const number of [1, 2]) await world.setHost(`host-${number}`, 'DEAD');
  await strict.lookAt(backendId, signal);
  await world.addFault({ kind: 'HANG', method: 'fence' });
  const hasty = bench.heartbeat({ silentAfterMs: 0, beatsToReturn: 3, patienceMs: 50 });
  await hasty.run(signal);
  await expect.poll(async () => (await world.faults())[0]?.fired, { timeout: 4000 }).toBe(1);
  for (const number of [1, 2]) await world.setHost(`host-${number}`, 'ALIVE');
  await hasty.run(signal);
  await hasty.lookAt(backendId, signal);
  await hasty.lookAt(backendId, signal);
  expect((await room.database.rows(heard, backendId)).map(({ beats }) => beats > 0)).toEqual([true, true, true, true, true]);
  await hasty.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE']);
});

it('turns nothing off by itself when most hosts fall silent at once', async () => {
  const { backendId, world } = await bench.datacenter({ count: 6 });
  await strict.lookAt(backendId, signal);
  for (const number of [1, 2, 3, 4]) await world.setHost(`host-${number}`, 'DEAD');
  for (let look = 0; look < 3; look += 1) await strict.lookAt(backendId, signal);
  const rows = await hostsOf(backendId);
  expect(rows.map(hostState)).toEqual(['DOWN', 'DOWN', 'DOWN', 'DOWN', 'ACTIVE', 'ACTIVE']);
  expect(rows[0]).toMatchObject({ fence: 'UNKNOWN', fence_reason: '4 of 6 hosts are silent at once: none is turned off without an operator.' });
});

it('knows nothing of the hosts of a backend that is away, and takes them back as soon as it answers', async () => {
  const { backendId, world } = await bench.datacenter({ count: 3 });
  await strict.lookAt(backendId, signal);
  await world.setHost('host-3', 'PARTITIONED');
  for (let look = 0; look < 2; look += 1) await strict.lookAt(backendId, signal);
  await world.addFault({ kind: 'UNAVAILABLE', method: 'listHosts', times: 2 });
  await patient.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE', 'DOWN']);
  await strict.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['UNKNOWN', 'UNKNOWN', 'DOWN']);
  const [backend] = await room.database.rows(findBackends, [backendId]);
  expect(backend).toMatchObject({ health: 'DOWN', version: 1 });
  expect(backend?.health_reason).toBeTruthy();
  await strict.lookAt(backendId, signal);
  expect(await statesOf(backendId)).toEqual(['ACTIVE', 'ACTIVE', 'DOWN']);
  expect((await room.database.rows(findBackends, [backendId]))[0]).toMatchObject({ health: 'UP', health_reason: null });
});

it('follows what a host is made of, and what its pools hold', async () => {
  const { backendId, world } = await bench.datacenter({ count: 1, pools: [{ name: 'local', capacityGib: 500 }] });
  await patient.lookAt(backendId, signal);
  const inventory = statement<{ name: string; capacity_gib: number; used_gib: number }, [string]>(
    'spec.heartbeat_pools',
    'SELECT d.name, d.capacity_gib, b.used_gib FROM datastore AS d JOIN datastore_heartbeat AS b ON b.datastore_id = d.id WHERE d.backend_id = $1',
  );
  expect(await room.database.rows(inventory, backendId)).toEqual([{ name: 'local', capacity_gib: 500, used_gib: 0 }]);
  await room.database.transaction(async (transaction) =>
    transaction.execute(statement<never, [string]>('spec.heartbeat_wrong', `UPDATE host SET cpu = 1, traits = '{wrong}' WHERE backend_id = $1`), backendId),
  );
  await patient.lookAt(backendId, signal);
  expect((await hostsOf(backendId))[0]).toMatchObject({ cpu: 16, traits: [], version: 1 });
  expect((await world.counts()).hosts).toBe(1);
});

it('keeps the size that it knows of a host that lives, while the backend cannot tell it', async () => {
  const { backendId } = await bench.datacenter({ count: 1 });
  await patient.lookAt(backendId, signal);
  const [before] = await hostsOf(backendId);
  const beat = { name: 'host-1', alive: true, cpu: 0, memory_mib: 0, traits: [], cpu_percent: null, memory_used_mib: null };
  const changed = await room.database.transaction(async (transaction) => transaction.rows(recordBeat, backendId, JSON.stringify([beat]), 30_000, 3, 60_000));
  expect(changed).toEqual([]);
  expect(await hostsOf(backendId)).toEqual([before]);
});

it('is not kept waiting by a backend that hangs', async () => {
  const slow = await bench.datacenter({ count: 1 });
  const quick = await bench.datacenter({ count: 1 });
  await slow.world.addFault({ kind: 'HANG', method: 'listHosts', times: 1 });
  const stop = new AbortController();
  const impatient = bench.heartbeat({ patienceMs: 1000 });
  await impatient.run(stop.signal);
  expect((await room.database.rows(heard, quick.backendId))[0]?.beats).toBe(2);
  expect((await room.database.rows(heard, slow.backendId))[0]?.beats).toBe(1);
  stop.abort();
});
