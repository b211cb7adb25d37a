export { templateDatabase, testDatabase, type TestDatabase, type TestDatabaseOptions } from './postgres/test-database.js';
export { accessWith, roomDatabase, systemAccess, type RoomDatabase } from './room-database.js';
export { findCanary, type CanaryPlace, type CanarySearch } from './canary.js';
export { newTenant, type TestTenant } from './scopes.js';
export { testDatacenter, type DatacenterOptions, type EndedOperation, type TestDatacenter } from './datacenter.js';
export { tenancyBench, type TenancyBench, type TenancyBenchOptions } from './tenancy.js';
export { countStatements, testApi, type TestAnswer, type TestApi, type TestApiOptions } from './api.js';
export { infrastructureBench, type InfrastructureBench, type SimulatedDatacenter } from './infrastructure.js';
export { computeBench, type BenchProject, type ComputeBench, type ComputeBenchOptions } from './compute.js';
