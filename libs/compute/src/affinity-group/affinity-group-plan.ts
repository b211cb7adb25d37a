import { ChangeSet, ROWS } from '#database';
import { affinityGroupId } from './affinity-group.service.js';
import type { AffinityGroupRow } from './affinity-group.sql.js';

export interface AffinityGroupRequest extends Pick<AffinityGroupRow, 'policy' | 'strength' | 'scope' | 'name'> {
  tenantId: string;
  projectId: string;
  /** The cluster that it is made for. */
  ownerId: string;
}

export type PlannedAffinityGroup = Pick<AffinityGroupRow, 'id' | 'policy' | 'strength' | 'scope'>;

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

/** Ends groups that have no members any more, with their owner. */
export function planAffinityGroupRemoval(groups: readonly Pick<AffinityGroupRow, 'id' | 'version'>[]): ChangeSet {
  const changes = new ChangeSet();
  for (const { id, version } of groups) changes.add(ROWS, { table: 'affinity_group', remove: true, id, version });
  return changes;
}
