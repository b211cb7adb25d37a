import { MuonError } from '#core';
import type { DriverCall, NetworkDriver, ObservedNetworkPart } from '#drivers';
import type { ReconcilerContext } from '#operations';

const CALL_TIMEOUT_MS = 10_000;
const PAGE = 500;
const MAX_PAGES = 2000;

/** What Muon has of a part. */
export interface RevisedPart {
  id: string;
  desired_revision: number;
  realised_revision: number;
}

/** What a backend has. */
export class Listing {
  constructor(private readonly parts: ReadonlyMap<string, Pick<ObservedNetworkPart, 'revision' | 'isIntact'>>) {}

  has(id: string): boolean {
    return this.parts.has(id);
  }

  /** The revision that a part was last told; 0 of what is not there. */
  told(id: string): number {
    return this.parts.get(id)?.revision ?? 0;
  }

  /** The same; 0 also of a part that is no longer as it was told. */
  intact(id: string): number {
    return this.parts.get(id)?.isIntact === true ? this.told(id) : 0;
  }

  /**
   * Whether the backend was told something that Muon does not know of, because its database has lost what it committed last:
   * it takes nothing new until that has a higher revision. Only of revisions that were read after the listing.
   */
  isAhead({ id, desired_revision: desired }: Pick<RevisedPart, 'id' | 'desired_revision'>): boolean {
    return this.told(id) > desired;
  }

  differs(part: RevisedPart): boolean {
    return this.isAhead(part) || Math.min(this.intact(part.id), part.realised_revision) < part.desired_revision;
  }
}

export async function listParts(context: ReconcilerContext, driver: NetworkDriver, backendId: string): Promise<Listing> {
  const seen = new Map<string, ObservedNetworkPart>();
  let after: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const call: DriverCall = { idempotencyKey: `network-drift/${backendId}/${page}`, timeoutMs: CALL_TIMEOUT_MS, signal: context.signal };
    const parts = await driver.listParts(call, after, PAGE);
    for (const part of parts) seen.set(part.id, part);
    const last = parts.at(-1);
    if (last === undefined || parts.length < PAGE) return new Listing(seen);
    after = last.id;
  }
  throw new MuonError('LIMIT_EXCEEDED', `The backend lists more than ${MAX_PAGES * PAGE} parts.`);
}
