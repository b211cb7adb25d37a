export { templateDatabase, testDatabase, type TestDatabase, type TestDatabaseOptions } from './postgres/test-database.js';
