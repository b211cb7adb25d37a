import type { RoomSchema } from '#database';
import { DiskEntity } from './disk/disk.entity.js';
import { DiskAttachment1764503000000 } from './migrations/1764503000000-disk-attachment.js';
import { Storage1764001100000 } from './migrations/1764001100000-storage.js';

export const storageRoom: RoomSchema = { name: 'storage', entities: [DiskEntity], migrations: [Storage1764001100000, DiskAttachment1764503000000] };
