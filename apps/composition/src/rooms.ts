import { databaseRoom, type RoomSchema } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';

/** Every room that has tables, lowest floor first. */
export const allRooms: readonly RoomSchema[] = [databaseRoom, secretsRoom, eventsRoom, scopesRoom, identityRoom];
