import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { operationsRoom } from '#operations';
import { placementRoom } from '#placement';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';

const HOSTS = 10_000;

let room: RoomDatabase;
let bench: InfrastructureBench;

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom, placementRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

async function timed(what: string, work: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  const own = (user + system) / 1000;
  console.log(`infrastructure: ${what.padEnd(56)} ${(performance.now() - start).toFixed(0).padStart(7)} ms, ${own.toFixed(0).padStart(6)} ms of it CPU of this process`);
}

it('registers 10,000 hosts by one command and looks at all of them', { timeout: 120_000 }, async () => {
  const { backendId, zoneId, world } = await bench.datacenter({ count: 1 });
  await world.createHosts({ prefix: 'many', count: HOSTS, cpu: 64, memoryMib: 262_144, traits: ['ssd'], pools: [{ name: 'local', capacityGib: 4000 }] });
  const access = systemAccess();
  const register = async (): Promise<unknown> => {
    const { result } = await bench.registration.register(access, { backendId, zoneId });
    return expect(result).toMatchObject({ hosts: HOSTS, datastores: HOSTS });
  };
  await timed(`${HOSTS} hosts and as many datastores registered`, register);
  const heartbeat = bench.heartbeat();
  const { signal } = new AbortController();
  await timed('first look at them', () => heartbeat.lookAt(backendId, signal));
  await timed('second look', () => heartbeat.lookAt(backendId, signal));
  await timed('third look', () => heartbeat.lookAt(backendId, signal));
});
