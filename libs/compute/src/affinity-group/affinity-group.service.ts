import { z } from 'zod';
import { defineId, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader, type Section, type Transaction } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { findScopes, requireActive, SCOPES } from '#scopes';
import {
  brokenGroups,
  findAffinityGroups,
  findAffinityGroupsByReference,
  groupInUse,
  lockAffinityGroups,
  type AffinityGroupRow,
} from './affinity-group.sql.js';

export const affinityGroupId = defineId('afg');

// It went, or came into use, since the plan was made: plan again.
constraintMeans('virtual_machine_affinity_group', (detail) => new LostRace('affinity group', detail));

constraintMeans(
  'affinity_group_name',
  () => new MuonError('ALREADY_EXISTS', 'An affinity group of this name exists already in the project.', { field: 'input.name' }),
);

/** A machine that joins a group at a place. */
export interface GroupJoin {
  groupId: string;
  resourceId: string;
  hostId: string;
  rackId: string | null;
  zoneId: string;
  /** A member that is deleted before. */
  replacesId: string | null;
  /** How many members, it included, may meet there though the group requires them to be apart. */
  most: number;
}

/** The group is locked, so that two plans cannot put two members that must be apart on one host. */
export const AFFINITY_GROUPS: Section<GroupJoin> = { name: 'affinityGroups' };

/** @throws LostRace when another plan placed a member of the same group in the meantime, against its rule. */
export async function applyGroupJoins(transaction: Transaction, items: readonly GroupJoin[]): Promise<void> {
  await transaction.rows(lockAffinityGroups, [...new Set(items.map((item) => item.groupId))]);
  const broken = await transaction.first(brokenGroups, JSON.stringify(items));
  if (broken !== undefined) throw new LostRace(`affinity group ${broken.name}`, `members of ${broken.id} met on a place`);
}

export const createAffinityGroupInput = z.strictObject({
  projectId: z.string().max(100),
  name: nameSchema,
  policy: z.enum(['AFFINITY', 'ANTI_AFFINITY']),
  strength: z.enum(['REQUIRE', 'PREFER']).default('REQUIRE'),
  scope: z.enum(['HOST', 'RACK', 'ZONE']).default('HOST'),
});
export type CreateAffinityGroupInput = z.input<typeof createAffinityGroupInput>;

/** Rules on which machines run together or apart. */
export class AffinityGroupService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: CreateAffinityGroupInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createAffinityGroupInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [scope] = await reader.rows(findScopes, [input.projectId]);
      const row = scope?.kind === 'PROJECT' ? { tenantId: scope.tenant_id, projectId: scope.id } : undefined;
      Object.assign(place, access.requireChild('affinity group', 'project', row, input.projectId, 'input.projectId'));
      if (scope !== undefined) requireActive(scope);
      const id = affinityGroupId.create();
      const { projectId: project_id, ...columns } = input;
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: project_id, need: 'ACTIVE' });
      changes.add(ROWS, { table: 'affinity_group', insert: { id, tenant_id: place.tenantId, project_id, ...columns } });
      changes.resources.push({ action: 'CREATE', kind: 'affinity group', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createAffinityGroup', input, place, ...options }, plan);
  }

  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place = { tenantId: null as string | null, projectId: null as string | null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [row] = await reader.rows(findAffinityGroups, [id]);
      const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
      const group = access.require(Action.DELETE, 'affinity group', found, id, 'input.id');
      Object.assign(place, { tenantId: group.tenantId, projectId: group.projectId });
      if (group.owner_id !== null) {
        throw new MuonError('INVALID_STATE', 'This group was made for a cluster and goes with it.', { data: { ownerId: group.owner_id } });
      }
      const machines = (await reader.first(groupInUse, id))?.machines ?? 0;
      if (machines > 0) {
        throw new MuonError('INVALID_STATE', `${machines} machines are in this group; delete them first.`, { data: { machines } });
      }
      const changes = new ChangeSet().add(ROWS, { table: 'affinity_group', remove: true, id, version: group.version });
      changes.resources.push({ action: 'DELETE', kind: 'affinity group', id, name: group.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteAffinityGroup', input: { id }, place, ...options }, plan);
  }
}

/** @throws NOT_FOUND with the field of the first that the project has not. */
export async function resolveAffinityGroups(
  reader: Reader,
  projectId: string,
  references: readonly { reference: string; field: string }[],
): Promise<Map<string, AffinityGroupRow>> {
  if (references.length === 0) return new Map();
  const names = [...new Set(references.map((each) => each.reference))];
  const rows = await reader.rows(findAffinityGroupsByReference, projectId, names);
  const found = new Map(rows.flatMap((row) => [[row.id, row] as const, [row.name, row] as const]));
  for (const { reference, field } of references) {
    if (!found.has(reference)) throw notFound('affinity group', reference, field);
  }
  return found;
}
