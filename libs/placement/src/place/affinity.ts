import type { Reader } from '#database';
import { findDomains } from './candidates.sql.js';
import type { AffinityScope, PlacementGroup } from './request.js';

/** The host, rack or zone that a member of a group stands in. */
export interface Location {
  hostId: string;
  rackDomain: string;
  zoneId: string;
}

export function domainOf(scope: AffinityScope, location: Location): string {
  if (scope === 'HOST') return location.hostId;
  return scope === 'RACK' ? location.rackDomain : location.zoneId;
}

/** Where a group's members are, old and newly placed. */
export class GroupState {
  readonly members = new Map<string, number>();
  total = 0;
  /** Levels of the search at which members were placed, first to last. */
  readonly placedAt: number[] = [];

  constructor(readonly group: PlacementGroup) {}

  add(location: Location): void {
    const domain = domainOf(this.group.scope, location);
    this.members.set(domain, (this.members.get(domain) ?? 0) + 1);
    this.total += 1;
  }

  remove(location: Location): void {
    const domain = domainOf(this.group.scope, location);
    const left = (this.members.get(domain) ?? 0) - 1;
    if (left > 0) this.members.set(domain, left);
    else this.members.delete(domain);
    this.total -= 1;
  }

  in(location: Location): number {
    return this.members.get(domainOf(this.group.scope, location)) ?? 0;
  }

  /** Whether a REQUIRE group allows one more member there. */
  allows(location: Location): boolean {
    if (this.group.policy === 'ANTI_AFFINITY') return this.in(location) < this.most;
    return this.total === 0 || this.in(location) > 0;
  }

  /** How much one more member there is disliked, by a PREFER group or where several may meet: 0 is well. */
  dislike(location: Location): number {
    if (this.group.policy === 'ANTI_AFFINITY') return this.in(location);
    return this.total === 0 || this.in(location) > 0 ? 0 : 1;
  }

  /** Where members are. */
  get domains(): string[] {
    return [...this.members.keys()];
  }

  /** Where a REQUIRE group whose members keep apart allows no more. */
  get full(): string[] {
    return [...this.members].flatMap(([domain, members]) => (members < this.most ? [] : [domain]));
  }

  private get most(): number {
    return this.group.most ?? 1;
  }
}

/** The groups' states before anything is placed; a member on a host that is gone has no place any more. */
export async function groupStates(reader: Reader, groups: readonly PlacementGroup[]): Promise<Map<PlacementGroup, GroupState>> {
  const hostIds = [...new Set(groups.flatMap((group) => group.existingHostIds))];
  const rows = hostIds.length === 0 ? [] : await reader.rows(findDomains, hostIds);
  const locations = new Map(
    rows.map((row) => [row.host_id, { hostId: row.host_id, rackDomain: row.rack_domain, zoneId: row.zone_id }]),
  );
  return new Map(
    groups.map((group) => {
      const state = new GroupState(group);
      for (const hostId of group.existingHostIds) {
        const location = locations.get(hostId);
        if (location !== undefined) state.add(location);
      }
      return [group, state];
    }),
  );
}
