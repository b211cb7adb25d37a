import type { Reader } from '#database';

/** Which zones a tenant may place machines in; tenancy knows. */
export abstract class TenantZones {
  /**
   * @param references ids or names; none for all that the tenant may use
   * @throws NOT_FOUND with the field for one that is not there or not the tenant's
   */
  abstract resolve(reader: Reader, tenantId: string, references: readonly string[], field: string): Promise<string[]>;
}
