import { MuonError, type JsonObject } from '#core';
import type { ScopeKind } from '#scopes';

/** How much one key changes, in the counters that a tenant's or a project's resource of one zone is counted in. */
export interface CounterDelta {
  tenant_id: string;
  project_id: string | null;
  resource_key: string;
  /** Empty for the counter of all zones. */
  zone_id: string;
  amount: number;
}

/** One counter, and what was asked of it. */
export interface CounterState {
  scope_id: string;
  scope_name: string;
  scope_kind: ScopeKind;
  resource_key: string;
  zone_id: string;
  limit_amount: number | null;
  used_amount: number;
  /** What shall be added; negative gives back. */
  requested: number;
}

/** Sums changes per counter, so that a set of twenty machines touches each counter once. */
export class CounterDeltas {
  private readonly sums = new Map<string, CounterDelta>();

  /** Adds to the counter for all zones and, if the amount is in a zone, to that zone's as well. */
  add(delta: CounterDelta): this {
    this.addTo({ ...delta, zone_id: '' });
    if (delta.zone_id !== '') this.addTo(delta);
    return this;
  }

  /** What is left after all was summed; nothing for a counter whose changes cancel out. */
  net(): CounterDelta[] {
    return [...this.sums.values()].filter((delta) => delta.amount !== 0);
  }

  private addTo(delta: CounterDelta): void {
    const key = [delta.tenant_id, delta.project_id ?? '', delta.resource_key, delta.zone_id].join(' ');
    const sum = this.sums.get(key);
    if (sum === undefined) this.sums.set(key, { ...delta });
    else sum.amount += delta.amount;
  }
}

export const isExceeded = (counter: CounterState): boolean =>
  counter.requested > 0 &&
  counter.limit_amount !== null &&
  counter.used_amount + counter.requested > counter.limit_amount;

/** @param counters those that refused; the first is named in the message, all (at most 20) are in the data. */
export function quotaExceeded(counters: readonly [CounterState, ...CounterState[]], field?: string): MuonError {
  const [first] = counters;
  const limit = first.limit_amount ?? 0;
  const where = first.zone_id === '' ? '' : ` in zone ${first.zone_id}`;
  const message =
    `The ${first.scope_kind.toLowerCase()} "${first.scope_name}" may use ${limit} of ${first.resource_key}${where}: ` +
    `${first.used_amount} are used, ${first.requested} more are needed.`;
  const data: JsonObject = { ...counterData(first), refused: counters.slice(0, 20).map(counterData) };
  return new MuonError('QUOTA_EXCEEDED', message, field === undefined ? { data } : { data, field });
}

function counterData(counter: CounterState): JsonObject {
  return {
    key: counter.resource_key,
    zoneId: counter.zone_id === '' ? null : counter.zone_id,
    scopeId: counter.scope_id,
    scopeName: counter.scope_name,
    scopeKind: counter.scope_kind,
    limit: counter.limit_amount,
    used: counter.used_amount,
    requested: counter.requested,
  };
}
