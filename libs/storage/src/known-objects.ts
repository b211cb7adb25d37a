import type { KnownObjectsOfRoom } from '#infrastructure';
import { findDisks } from './disk/disk.sql.js';

/** What backends may hold of this room's. */
export const storageKnownObjects: KnownObjectsOfRoom = {
  name: 'storage',
  kinds: ['disk'],
  find: (reader, _kind, ids) => reader.rows(findDisks, [...ids]),
};
