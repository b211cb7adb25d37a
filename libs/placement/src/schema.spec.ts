import { afterAll, beforeAll, expect, it } from 'vitest';
import { schemaDrift, statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { hostState, infrastructureRoom, type HostIntent } from '#infrastructure';
import { placementRoom } from '#placement';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { roomDatabase, type RoomDatabase } from '#testing';

let room: RoomDatabase;
beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, infrastructureRoom, placementRoom]);
});
afterAll(() => room.close());

const stateInSql = statement<{ state: string }, [intent: string, health: string, fence: string, vacant: boolean]>(
  'spec.host_state',
  'SELECT placement_host_state($1, $2, $3, $4) AS state',
);

it('has the tables that its entities describe', async () => {
  expect(await schemaDrift(room.database)).toEqual([]);
});

it('knows the same host states in SQL as infrastructure does in TypeScript', async () => {
  for (const intent of ['ENABLED', 'SUSPENDED', 'MAINTENANCE'] as HostIntent[]) {
    for (const health of ['UNKNOWN', 'UP', 'DOWN'] as const) {
      for (const fence of ['NONE', 'UNKNOWN', 'PROVEN_OFF'] as const) {
        for (const vacant of [false, true]) {
          const inSql = await room.database.first(stateInSql, intent, health, fence, vacant);
          expect(inSql?.state, `${intent} ${health} ${fence} ${vacant}`).toBe(hostState({ intent, health, fence, vacant }));
        }
      }
    }
  }
});
