import { clustersRoom } from '#clusters';
import { computeRoom } from '#compute';
import { databaseRoom, type RoomSchema } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { networkRoom } from '#network';
import { operationsRoom } from '#operations';
import { placementRoom } from '#placement';
import { quotaRoom } from '#quota';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { storageRoom } from '#storage';
import { tenancyRoom } from '#tenancy';

/** Every room that has tables, lowest floor first. */
export const allRooms: readonly RoomSchema[] = [
  databaseRoom,
  secretsRoom,
  eventsRoom,
  scopesRoom,
  identityRoom,
  quotaRoom,
  operationsRoom,
  infrastructureRoom,
  tenancyRoom,
  placementRoom,
  networkRoom,
  storageRoom,
  computeRoom,
  clustersRoom,
];
