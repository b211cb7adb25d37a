import { afterAll, beforeAll, expect, it } from 'vitest';
import { schemaDrift } from '#database';
import { eventsRoom } from '#events';
import { scopesRoom } from '#scopes';
import { identityRoom } from '#identity';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
});
afterAll(() => room.close());

it('has the tables that its entities describe', async () => {
  expect(await schemaDrift(room.database)).toEqual([]);
});
