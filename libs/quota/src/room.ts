import type { ChangeSetApplier, RoomSchema } from '#database';
import { QuotaChargeEntity } from './charge/charge.entity.js';
import { CHARGES } from './charge/charge.js';
import { QuotaLedger } from './charge/quota-ledger.js';
import { QuotaCounterEntity } from './counter/counter.entity.js';
import { MeteringRecordEntity } from './metering/metering.entity.js';
import { Quota1764000500000 } from './migrations/1764000500000-quota.js';
import { QuotaEntity } from './quota/quota.entity.js';
import { QUOTA_LIMITS } from './quota/quota.js';
import { applyLimitChanges } from './quota/quota.limits.js';

export const quotaRoom: RoomSchema = {
  name: 'quota',
  entities: [QuotaEntity, QuotaCounterEntity, QuotaChargeEntity, MeteringRecordEntity],
  migrations: [Quota1764000500000],
};

export function registerQuotaSections(applier: ChangeSetApplier, ledger = new QuotaLedger()): void {
  applier.register(QUOTA_LIMITS, applyLimitChanges);
  applier.register(CHARGES, ledger.handler);
}
