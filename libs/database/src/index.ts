import { RowFunctions1764000000000 } from './migrations/1764000000000-row-functions.js';
import type { RoomSchema } from './room-schema.js';

export * from './change-set/change-set.js';
export { applyRows, currentSnapshot, registerRowSections, ROWS, type RowChange } from './change-set/rows.js';
export { constraintMeans, sqlState } from './client.js';
export { Database, type DatabaseOptions, type TransactionOptions } from './database.js';
export { insertRows, updateVersioned, versionConflict } from './guarded.js';
export * from './keyset.js';
export { migrate, pendingMigrations, schemaDrift } from './migrate.js';
export { RowTimes } from './row.entity.js';
export type { RoomSchema } from './room-schema.js';
export { declaredStatements, statement, type Reader, type Statement } from './statement.js';
export { refuseInsideTransaction, Transaction } from './transaction.js';

export const databaseRoom: RoomSchema = { name: 'database', entities: [], migrations: [RowFunctions1764000000000] };
