import { MuonError } from '#core';
import type { Database } from '#database';
import { leaseBudget, pruneBudgets, WINDOW_SECONDS, type LeaseRow } from './request-budget.sql.js';

/** A lease is this part of a budget: so many writes a minute at most, and so much may be left unused by each process. */
const LEASES_OF_BUDGET = 100;
/** How often a request asks again when others of its process have used up what was leased meanwhile. */
const MAX_LEASES = 20;
const MAX_SUBJECTS = 20_000;

export interface BudgetLimits {
  /** What the requests of one principal may cost in a minute. */
  principal: number;
  /** What those of all principals of one tenant may. */
  tenant: number;
}

/** Whose budget a request takes from. */
export interface BudgetSubject {
  principalId: string;
  /** Null for principals of the system. */
  tenantId: string | null;
}

/** What a process holds of a subject's budget until the minute ends. */
interface Lease {
  left: number;
  /** By `performance.now()`. */
  endsAt: number;
  /** Nothing more is to be had in this minute. */
  isDry: boolean;
  leased: number;
  /** Rises with every minute that it is held in. */
  minute: number;
  /** What the requests cost that wait for more. */
  waiting: number;
  pending: Promise<void> | undefined;
}

/**
 * What principals and tenants may cost in a minute, by all processes together. A process leases a hundredth of a budget at
 * a time from PostgreSQL and counts requests against it in memory, so that most cost no statement. Nothing is ever admitted
 * beyond the budget of a minute, as the leases are guarded by one row; what the processes hold when the minute ends is lost,
 * which is a hundredth for each of them at most. Minutes are those of the clock: two budgets may be spent around a turn.
 */
export class RequestBudgets {
  private readonly leases = new Map<string, Lease>();

  constructor(
    private readonly database: Database,
    private readonly limits: BudgetLimits,
  ) {}

  /**
   * Takes what a request costs, at once where there is enough at hand.
   * @throws RATE_LIMITED with `limit`, `used`, `resets` and `retryAfterMs`
   */
  charge({ principalId, tenantId }: BudgetSubject, cost: number): Promise<void> | undefined {
    const ofPrincipal = this.take(principalId, this.limits.principal, cost);
    if (tenantId === null) return ofPrincipal;
    if (ofPrincipal === undefined) return this.chargeTenant(principalId, tenantId, cost);
    return ofPrincipal.then(() => this.chargeTenant(principalId, tenantId, cost));
  }

  /** Deletes one batch of what nobody needs any more. */
  async prune(limit = 1000): Promise<number> {
    return this.database.transaction((transaction) => transaction.execute(pruneBudgets, limit));
  }

  /** What the tenant refuses, its principal has not spent. */
  private chargeTenant(principalId: string, tenantId: string, cost: number): Promise<void> | undefined {
    const lease = this.leases.get(principalId);
    const minute = lease?.minute;
    const giveBack = (error: unknown): never => {
      if (lease !== undefined && lease.minute === minute) lease.left += cost;
      throw error;
    };
    try {
      return this.take(tenantId, this.limits.tenant, cost)?.catch(giveBack);
    } catch (error) {
      return giveBack(error);
    }
  }

  private take(subject: string, limit: number, cost: number): Promise<void> | undefined {
    const lease = this.current(subject);
    if (lease !== undefined && lease.left >= cost) {
      lease.left -= cost;
      return undefined;
    }
    if (lease?.isDry === true) throw exhausted(subject, limit, lease);
    return this.takeAfterLease(subject, limit, cost);
  }

  private async takeAfterLease(subject: string, limit: number, cost: number): Promise<void> {
    const lease = this.known(subject);
    lease.waiting += cost;
    try {
      for (let attempt = 0; attempt < MAX_LEASES; attempt += 1) {
        await this.extend(lease, subject, limit);
        if (lease.endsAt <= performance.now()) continue;
        if (lease.left >= cost) {
          lease.left -= cost;
          return;
        }
        if (lease.isDry) throw exhausted(subject, limit, lease);
      }
    } finally {
      lease.waiting -= cost;
    }
    throw new MuonError('UNAVAILABLE', 'Too many requests at once are being counted; try again.');
  }

  /** One statement for a subject at a time, for all who wait. */
  private extend(lease: Lease, subject: string, limit: number): Promise<void> {
    const wanted = Math.max(Math.ceil(limit / LEASES_OF_BUDGET), lease.waiting);
    lease.pending ??= this.database
      .transaction((transaction) => transaction.first(leaseBudget, subject, wanted, limit))
      .then((row) => add(lease, row))
      .finally(() => (lease.pending = undefined));
    return lease.pending;
  }

  private known(subject: string): Lease {
    let lease = this.leases.get(subject);
    if (lease === undefined) {
      lease = { left: 0, endsAt: 0, isDry: false, leased: 0, minute: 0, waiting: 0, pending: undefined };
      this.leases.set(subject, lease);
      if (this.leases.size > MAX_SUBJECTS) this.forgetOldest();
    }
    return lease;
  }

  private current(subject: string): Lease | undefined {
    const lease = this.leases.get(subject);
    return lease !== undefined && lease.endsAt > performance.now() ? lease : undefined;
  }

  private forgetOldest(): void {
    for (const [subject, lease] of this.leases) {
      if (lease.waiting > 0) continue;
      this.leases.delete(subject);
      return;
    }
  }
}

function add(lease: Lease, row: LeaseRow | undefined): void {
  if (row === undefined) return;
  const isNew = lease.endsAt <= performance.now();
  if (isNew) {
    lease.left = 0;
    lease.minute += 1;
  }
  lease.left += row.granted;
  lease.isDry = row.granted === 0;
  lease.leased = row.leased;
  lease.endsAt = performance.now() + row.left_ms;
}

function exhausted(subject: string, limit: number, { endsAt, leased, left }: Lease): MuonError {
  const retryAfterMs = Math.max(1, Math.ceil(endsAt - performance.now()));
  const whose = subject.startsWith('ten_') ? 'The principals of your tenant' : 'You';
  return new MuonError('RATE_LIMITED', `${whose} may ask for ${limit} a minute, which is used up; wait for the next minute.`, {
    data: {
      limit,
      used: Math.min(limit, leased - left),
      resets: new Date(Date.now() + retryAfterMs).toISOString(),
      retryAfterMs,
      windowSeconds: WINDOW_SECONDS,
      subject,
    },
  });
}
