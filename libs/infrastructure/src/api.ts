import { BackendResolver } from './backend/backend.graphql.js';
import { DatastoreResolver } from './datastore/datastore.graphql.js';
import { HostResolver } from './host/host-resolver.graphql.js';
import { RackResolver } from './rack/rack.graphql.js';
import { ZoneResolver } from './zone/zone.graphql.js';

export { Backend, loadBackend } from './backend/backend.graphql.js';
export { Datastore, loadDatastore } from './datastore/datastore.graphql.js';
export { Host, loadHost } from './host/host.graphql.js';
export { seesInfrastructure } from './infrastructure.graphql.js';
export { loadRack, Rack } from './rack/rack.graphql.js';
export { loadZone, Zone } from './zone/zone.graphql.js';

/** They need the room's services and `ZoneVisibility`. */
export const infrastructureResolvers = [ZoneResolver, RackResolver, BackendResolver, HostResolver, DatastoreResolver];
