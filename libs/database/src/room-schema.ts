import type { MigrationInterface } from 'typeorm';

/** What a room brings to the database. The app (or a test) that is composed of rooms hands them all to `Database.open`. */
export interface RoomSchema {
  /** The room's folder name. */
  readonly name: string;
  readonly entities: readonly (abstract new (...args: never[]) => unknown)[];
  /** Applied in the order of the number at the end of each class's name, over all rooms. */
  readonly migrations: readonly (new () => MigrationInterface)[];
}
