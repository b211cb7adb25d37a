import { afterAll, beforeAll, expect, it } from 'vitest';
import { schemaDrift } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom, installationId } from '#infrastructure';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, infrastructureRoom]);
});
afterAll(() => room.close());

it('has the tables that its entities describe', async () => {
  expect(await schemaDrift(room.database)).toEqual([]);
});

it('has one installation id', async () => {
  expect(await installationId(room.database)).toMatch(/^ins_[0-9a-z]{26}$/);
});
