import { afterAll, beforeAll, expect, it } from 'vitest';
import { computeRoom } from '#compute';
import { schemaDrift } from '#database';
import { eventsRoom } from '#events';
import { storageRoom } from '#storage';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
beforeAll(async () => {
  room = await roomDatabase([eventsRoom, storageRoom, computeRoom]);
});
afterAll(() => room.close());

it('has the tables that its entities describe', async () => {
  expect(await schemaDrift(room.database)).toEqual([]);
});
