import type { RoomSchema } from '#database';
import { EventEntity, EventLogEntity } from './event.entity.js';
import { EventLog1764000200000 } from './migrations/1764000200000-event-log.js';

export { decodeEventCursor, encodeEventCursor, type EventCursor } from './cursor.js';
export { EventFeed, type EventFeedOptions, type FeedEvent } from './event-feed.js';
export { EventChange, type EventRow } from './event.sql.js';

export const eventsRoom: RoomSchema = {
  name: 'events',
  entities: [EventEntity, EventLogEntity],
  migrations: [EventLog1764000200000],
};
