import { DatastoreCapacityResolver, HostCapacityResolver, ZoneCapacityResolver } from './capacity/capacity.graphql.js';
import { PlacementResolver } from './place/explain-placement.graphql.js';

/** They add to the types of `#infrastructure/api`, which must be served too. */
export const placementResolvers = [HostCapacityResolver, DatastoreCapacityResolver, ZoneCapacityResolver, PlacementResolver];
