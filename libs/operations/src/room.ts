import type { RoomSchema } from '#database';
import { LeaseEntity } from './lease/lease.entity.js';
import { ResourceLockEntity } from './lock/resource-lock.entity.js';
import { Operations1764000600000 } from './migrations/1764000600000-operations.js';
import { NotRestored1764506101000 } from './migrations/1764506101000-not-restored.js';
import { OperationAttemptEntity, OperationEntity, OperationStepEntity } from './operation/operation.entity.js';
import { TombstoneEntity } from './tombstone/tombstone.entity.js';

export const operationsRoom: RoomSchema = {
  name: 'operations',
  entities: [OperationEntity, OperationStepEntity, OperationAttemptEntity, ResourceLockEntity, TombstoneEntity, LeaseEntity],
  migrations: [Operations1764000600000, NotRestored1764506101000],
};
