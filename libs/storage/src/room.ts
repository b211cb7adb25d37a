import type { RoomSchema } from '#database';
import { DiskEntity } from './disk/disk.entity.js';
import { Storage1764001100000 } from './migrations/1764001100000-storage.js';

export const storageRoom: RoomSchema = { name: 'storage', entities: [DiskEntity], migrations: [Storage1764001100000] };
