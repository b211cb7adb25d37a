import { Injectable } from '@nestjs/common';
import { assert, MuonError, type ErrorRecord } from '#core';
import type { ChangeSet, Reader, SectionHandler, Transaction } from '#database';
import type { ScopeKind } from '#scopes';
import { CounterDeltas, isExceeded, quotaExceeded, type CounterState } from '../counter/counter.js';
import { previewOfCounters, takeFromCounters } from '../counter/counter.sql.js';
import { CHARGES, meteringId, positiveAmounts, type Adjustment, type Charge, type NewCharge } from './charge.js';
import {
  findCharges,
  insertCharges,
  lockCharges,
  removeCharges,
  rewriteCharges,
  type ChargeRow,
  type RewrittenCharge,
  type WrittenCharge,
} from './charge.sql.js';

/** What a plan would do to one counter. */
export interface QuotaPreviewLine {
  scopeId: string;
  scopeName: string;
  scopeKind: ScopeKind;
  resourceKey: string;
  zoneId: string | null;
  limit: number | null;
  used: number;
  /** Negative gives back. */
  requested: number;
  /** What is left afterwards; null without a limit, below zero when it would be refused. */
  remaining: number | null;
}

export interface QuotaPreview {
  /** One QUOTA_EXCEEDED for all counters that would refuse; else empty. */
  problems: ErrorRecord[];
  lines: QuotaPreviewLine[];
}

/**
 * The ledger of charges: one row per resource and key, and counters that are always the sum of them. Call it inside the
 * transaction that writes the resource, last, because counters are the hottest locks of the house.
 */
@Injectable()
export class QuotaLedger {
  /**
   * Applies a set as one. Resource ids of ADJUST must be charged already.
   * @throws QUOTA_EXCEEDED with key, scope, limit, used, requested and zone in `data`; the transaction must end with it
   */
  async apply(transaction: Transaction, charges: readonly Charge[]): Promise<void> {
    const deltas = new CounterDeltas();
    const refunds = charges.flatMap((item) => (item.action === 'REFUND' ? [item.resourceId] : []));
    if (refunds.length > 0) {
      for (const sum of await transaction.rows(removeCharges, refunds)) deltas.add({ ...sum, amount: -sum.amount });
    }
    const adjustments = charges.filter((item) => item.action === 'ADJUST');
    if (adjustments.length > 0) await this.adjust(transaction, adjustments, deltas);
    const written = charges.flatMap((item) => (item.action === 'CHARGE' ? newCharges(item) : []));
    if (written.length > 0) {
      for (const sum of await transaction.rows(insertCharges, JSON.stringify(written))) deltas.add(sum);
    }
    await takeFromCounters(transaction, deltas.net());
  }

  /** @throws QUOTA_EXCEEDED as `apply` does */
  async charge(transaction: Transaction, charges: readonly NewCharge[]): Promise<void> {
    await this.apply(transaction, charges);
  }

  /** Gives back whatever these resources are charged for; repeating it does nothing. */
  async refund(transaction: Transaction, resourceIds: readonly string[]): Promise<void> {
    await this.apply(transaction, resourceIds.map((resourceId) => ({ action: 'REFUND', resourceId })));
  }

  /** What `apply` would do now, without locks. Resources of CHARGE are taken to be new. */
  async preview(reader: Reader, charges: readonly Charge[]): Promise<QuotaPreview> {
    const deltas = new CounterDeltas();
    const existing = charges.flatMap((item) => (item.action === 'CHARGE' ? [] : [item.resourceId]));
    const rows = existing.length === 0 ? [] : await reader.rows(findCharges, existing);
    const rowsOf = Map.groupBy(rows, (row) => row.resource_id);
    for (const item of charges) {
      if (item.action === 'CHARGE') for (const row of newCharges(item)) deltas.add(row);
      else {
        const before = rowsOf.get(item.resourceId) ?? [];
        for (const row of before) deltas.add({ ...row, amount: -row.amount });
        if (item.action === 'ADJUST') for (const row of adjusted(item, before)) deltas.add(row);
      }
    }
    const counters = await previewOfCounters(reader, deltas.net());
    const [first, ...others] = counters.filter(isExceeded);
    return {
      problems: first === undefined ? [] : [quotaExceeded([first, ...others]).toRecord()],
      lines: counters.map(previewLine),
    };
  }

  /**
   * Adds to a plan what its charges would do to the quota as reasons, and a refusal beside whatever else stands in the way.
   * Of counters without a limit only the project's over all zones are shown.
   * @param more charges that the plan would have made if it had found a place
   */
  async previewPlan(reader: Reader, changes: ChangeSet, more: readonly Charge[] = []): Promise<void> {
    const { problems, lines } = await this.preview(reader, [...changes.items(CHARGES), ...more]);
    changes.problems.push(...problems);
    for (const line of lines) {
      if (line.limit === null && (line.zoneId !== null || line.scopeKind === 'TENANT')) continue;
      const zone = line.zoneId === null ? '' : ` in zone ${line.zoneId}`;
      const scope = `${line.scopeKind.toLowerCase()} "${line.scopeName}"${zone}`;
      const message = `${line.resourceKey} of ${scope}: ${line.used}${line.limit === null ? '' : ` of ${line.limit}`} used, ${line.requested} requested.`;
      changes.reasons.push({ subject: 'quota', message, data: { ...line } });
    }
  }

  /** Handles the section `CHARGES`. */
  readonly handler: SectionHandler<Charge> = (transaction, items) => this.apply(transaction, items);

  private async adjust(transaction: Transaction, items: readonly Adjustment[], deltas: CounterDeltas): Promise<void> {
    const ids = items.map((item) => item.resourceId);
    assert(new Set(ids).size === ids.length, 'a change set adjusts one resource twice');
    const rowsOf = Map.groupBy(await transaction.rows(lockCharges, ids), (row) => row.resource_id);
    const changed: RewrittenCharge[] = [];
    for (const item of items) {
      const before = rowsOf.get(item.resourceId) ?? [];
      const after = new Map(adjusted(item, before).map((row) => [row.resource_key, row]));
      const beforeOf = new Map(before.map((row) => [row.resource_key, row]));
      for (const key of new Set([...beforeOf.keys(), ...after.keys()])) {
        const [old, row] = [beforeOf.get(key), after.get(key)];
        if (old !== undefined && row !== undefined && old.amount === row.amount && old.zone_id === row.zone_id) continue;
        if (old !== undefined) deltas.add({ ...old, amount: -old.amount });
        if (row !== undefined) deltas.add(row);
        const next = row ?? (old === undefined ? undefined : { ...old, amount: 0 });
        if (next !== undefined) changed.push({ ...next, metering_id: meteringId.create(), exists: old !== undefined });
      }
    }
    if (changed.length === 0) return;
    // Whoever changes a resource holds its lock, so this happens only to those who break that rule; the sum stays right.
    const row = await transaction.first(rewriteCharges, JSON.stringify(changed));
    if (row?.written !== changed.length) {
      throw new MuonError('CONFLICT', 'Others are charging the same resource at this moment; try again.', { data: { resourceIds: ids } });
    }
  }
}

function newCharges(item: NewCharge): WrittenCharge[] {
  return positiveAmounts(item.amounts).map(([key, amount]) => ({
    resource_id: item.resourceId,
    resource_key: key,
    resource_kind: item.resourceKind,
    tenant_id: item.tenantId,
    project_id: item.projectId,
    zone_id: item.zoneId ?? '',
    amount,
    metering_id: meteringId.create(),
  }));
}

/** The rows of a charged resource after the adjustment. */
function adjusted(item: Adjustment, before: readonly ChargeRow[]): ChargeRow[] {
  const any = before[0];
  assert(any !== undefined, `${item.resourceId} is adjusted but not charged`);
  const rowOf = new Map(before.map((row) => [row.resource_key, row]));
  return positiveAmounts(item.amounts).map(([key, amount]) => {
    const place = rowOf.get(key) ?? any;
    return { ...place, resource_key: key, amount, zone_id: item.zoneId === undefined ? place.zone_id : (item.zoneId ?? '') };
  });
}

function previewLine(counter: CounterState): QuotaPreviewLine {
  const { limit_amount: limit, used_amount: used, requested } = counter;
  return {
    scopeId: counter.scope_id,
    scopeName: counter.scope_name,
    scopeKind: counter.scope_kind,
    resourceKey: counter.resource_key,
    zoneId: counter.zone_id === '' ? null : counter.zone_id,
    limit,
    used,
    requested,
    remaining: limit === null ? null : limit - used - requested,
  };
}
