import { EventResolver } from './event.graphql.js';

export { listSource, readConnection, type ListSource } from './connection.graphql.js';
export { EVENT_VISIBILITY, type EventVisibility } from './event.graphql.js';

export const eventsResolvers = [EventResolver];
