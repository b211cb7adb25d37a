import { ChangeSet, ROWS } from '#database';
import type { PlacementGroup } from '#placement';
import { affinityGroupId } from './affinity-group.service.js';
import type { AffinityGroupRow } from './affinity-group.sql.js';

export interface AffinityGroupRequest extends Pick<AffinityGroupRow, 'policy' | 'strength' | 'scope' | 'name'> {
  tenantId: string;
  projectId: string;
  /** The cluster that it is made for. */
  ownerId: string;
}

export interface PlannedAffinityGroup extends Pick<AffinityGroupRow, 'id' | 'policy' | 'strength' | 'scope'> {
  /** How many members may meet where a REQUIRE group keeps them apart, for those that are better in one place than nowhere. */
  most?: number;
}

/** A group that is made together with its first members: include its changes before theirs. */
export function planAffinityGroup(request: AffinityGroupRequest): { changes: ChangeSet; group: PlannedAffinityGroup } {
  const { tenantId, projectId, ownerId, name, policy, strength, scope } = request;
  const id = affinityGroupId.create();
  const changes = new ChangeSet().add(ROWS, {
    table: 'affinity_group',
    insert: { id, tenant_id: tenantId, project_id: projectId, name, policy, strength, scope, owner_id: ownerId },
  });
  changes.resources.push({ action: 'CREATE', kind: 'affinity group', id, name, data: { policy, strength, scope } });
  return { changes, group: { id, policy, strength, scope } };
}

/** What the scheduler is told of a group. */
export function placedBy({ id, policy, strength, scope, most = 1 }: PlannedAffinityGroup): Omit<PlacementGroup, 'existingHostIds'> {
  return { id, policy, strength, scope, most };
}

/** Racks and zones, over which the group's members are spread as well where there are several. */
export function widerGroups({ id }: Pick<PlannedAffinityGroup, 'id'>): Omit<PlacementGroup, 'existingHostIds'>[] {
  return (['RACK', 'ZONE'] as const).map((scope) => ({ id: `${id}/${scope}`, policy: 'ANTI_AFFINITY', strength: 'PREFER', scope }));
}

/** Ends groups that have no members any more, with their owner. */
export function planAffinityGroupRemoval(groups: readonly Pick<AffinityGroupRow, 'id' | 'version'>[]): ChangeSet {
  const changes = new ChangeSet();
  for (const { id, version } of groups) changes.add(ROWS, { table: 'affinity_group', remove: true, id, version });
  return changes;
}
