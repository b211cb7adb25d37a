import type { RoomSchema } from '#database';
import { DatastoreCapacityEntity, HostCapacityEntity } from './capacity/capacity.entity.js';
import { DatastoreClaimEntity, HostClaimEntity } from './claim/claim.entity.js';
import { Placement1764000900000 } from './migrations/1764000900000-placement.js';
import { DatastoreOffers1764506350100 } from './migrations/1764506350100-datastore-offers.js';

export const placementRoom: RoomSchema = {
  name: 'placement',
  entities: [HostCapacityEntity, HostClaimEntity, DatastoreCapacityEntity, DatastoreClaimEntity],
  migrations: [Placement1764000900000, DatastoreOffers1764506350100],
};
