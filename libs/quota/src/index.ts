export { auditCounters, repairCounters, type QuotaAudit } from './audit/audit.js';
export type { DriftRow } from './audit/audit.sql.js';
export {
  CHARGES,
  isResourceKey,
  largerAmounts,
  MAX_RESOURCE_KEY_LENGTH,
  RESOURCE_KEY_PATTERN,
  RESOURCE_KEY_RULE,
  ResourceKey,
  type Adjustment,
  type Amounts,
  type Charge,
  type NewCharge,
} from './charge/charge.js';
export { QuotaLedger, type QuotaPreview, type QuotaPreviewLine } from './charge/quota-ledger.js';
export { chargesOfScope, countChargesOfScope, findCharges, type ChargeRow } from './charge/charge.sql.js';
export type { MeteringRow, MeteringTotalRow } from './metering/metering.sql.js';
export { QUOTA_LIMITS, quotaCounterSchema, quotaId, quotaLineSchema, quotaLinesSchema, type LimitChange, type QuotaLine } from './quota/quota.js';
export { newQuotaRows, type NewScopeQuota } from './quota/quota.rows.js';
export { planLimitChanges, removeQuotaOf } from './quota/quota.limits.js';
export {
  QuotaService,
  ZONE_DIRECTORY,
  type MeteringQuery,
  type PatchQuotaInput,
  type RemoveQuotaLinesInput,
  type SetQuotaInput,
  type ZoneDirectory,
} from './quota/quota.service.js';
export { findUsage, type UsageEntryRow, type UsageRow } from './quota/usage.sql.js';
export { quotaRoom, registerQuotaSections } from './room.js';
