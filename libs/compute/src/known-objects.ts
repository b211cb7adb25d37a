import type { KnownObjectsOfRoom } from '#infrastructure';
import { findInstances } from './virtual-machine/virtual-machine.sql.js';

/** What backends may hold of this room's. */
export const computeKnownObjects: KnownObjectsOfRoom = {
  name: 'compute',
  kinds: ['machine'],
  find: (reader, _kind, ids) => reader.rows(findInstances, [...ids]),
};
