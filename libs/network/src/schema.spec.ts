import { expect, test } from 'vitest';
import { Database, databaseRoom, migrate, schemaDrift } from '#database';
import { eventsRoom } from '#events';
import { infrastructureRoom } from '#infrastructure';
import { secretsRoom } from '#secrets';
import { testDatabase } from '#testing';
import { networkRoom } from './room.js';

test('entities and migrations agree', async () => {
  const home = await testDatabase();
  const database = await Database.open({ url: home.url, rooms: [databaseRoom, secretsRoom, eventsRoom, infrastructureRoom, networkRoom], poolSize: 2 });
  try {
    await migrate(database);
    expect(await schemaDrift(database)).toEqual([]);
  } finally {
    await database.close();
    await home.drop();
  }
});
