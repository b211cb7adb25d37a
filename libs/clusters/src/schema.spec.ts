import { afterAll, beforeAll, expect, it } from 'vitest';
import { clustersRoom } from '#clusters';
import { schemaDrift } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
beforeAll(async () => {
  room = await roomDatabase([eventsRoom, clustersRoom]);
});
afterAll(() => room.close());

it('has the tables that its entities describe', async () => {
  expect(await schemaDrift(room.database)).toEqual([]);
});
