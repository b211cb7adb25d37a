import { flavorCharges, type FlavorRow } from '#compute';
import type { ChangeSet, Reader } from '#database';
import type { Charge, QuotaLedger } from '#quota';

/** Adds to a plan what it would do to the quota: a refusal is shown with everything else that stands in the way. */
export async function previewQuota(
  reader: Reader,
  ledger: QuotaLedger,
  changes: ChangeSet,
  unplaced: readonly Charge[] = [],
): Promise<void> {
  await ledger.previewPlan(reader, changes, unplaced);
}

/** What machines that found no place would be charged, so that a dry run shows both what is full and what is not enough. */
export function unplacedCharges(
  place: { tenantId: string; projectId: string },
  nodes: readonly { machineId: string; flavor: FlavorRow }[],
): Charge[] {
  return nodes.map(({ machineId, flavor }) => ({
    action: 'CHARGE',
    resourceId: machineId,
    resourceKind: 'vm',
    tenantId: place.tenantId,
    projectId: place.projectId,
    zoneId: null,
    amounts: { ...flavorCharges(flavor), 'disk.count': 1, 'disk.capacity': flavor.disk_gib, 'port.count': 1 },
  }));
}
