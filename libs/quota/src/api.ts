import { MeteringResolver } from './metering/metering.graphql.js';
import { QuotaResolver } from './quota/quota.graphql.js';
import { UsageResolver } from './quota/usage.graphql.js';

export { loadQuota, QuotaLineInput, QuotaType } from './quota/quota.graphql.js';

export const quotaResolvers = [QuotaResolver, UsageResolver, MeteringResolver];
