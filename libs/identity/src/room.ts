import type { RoomSchema } from '#database';
import { Identity1764000400000 } from './migrations/1764000400000-identity.js';

export const identityRoom: RoomSchema = { name: 'identity', entities: [], migrations: [Identity1764000400000] };
