import { z } from 'zod';
import {
  defineId,
  invalidInput,
  MAX_AMOUNT,
  MAX_CPU_PER_MACHINE,
  MAX_DISK_GIB,
  MAX_MEMORY_MIB_PER_MACHINE,
  MuonError,
  nameSchema,
  notFound,
  parseInput,
} from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import { Action, SYSTEM_PLACE, CommandRunner, type Access, type CommandOptions, type CommandResult } from '#identity';
import { isResourceKey, RESOURCE_KEY_RULE } from '#quota';
import { resolveStoragePolicies } from '#storage';
import { findFlavors, findFlavorsByReference, flavorInUse, type FlavorRow } from './flavor.sql.js';

export const flavorId = defineId('flv');

// It went, or came into use, since the plan was made: plan again.
constraintMeans('virtual_machine_flavor', (detail) => new LostRace('flavor', detail));

constraintMeans('flavor_storage_policy', (detail) => new LostRace('storage policy', detail));
constraintMeans('virtual_machine_storage_policy', (detail) => new LostRace('storage policy', detail));

constraintMeans('flavor_name', () => new MuonError('ALREADY_EXISTS', 'A flavor of this name exists already.', { field: 'input.name' }));

/** Quota keys that a machine's size itself takes; a cost may not name them a second time. */
const SIZE_KEYS = new Set(['vm.count', 'vm.cpu', 'vm.memory', 'disk.count', 'disk.capacity']);

export const createFlavorInput = z.strictObject({
  name: nameSchema,
  cpu: z.int().min(1).max(MAX_CPU_PER_MACHINE),
  memoryMib: z.int().min(16).max(MAX_MEMORY_MIB_PER_MACHINE),
  diskGib: z.int().min(1).max(MAX_DISK_GIB),
  costs: z
    .array(
      z.strictObject({
        key: z.string().refine(isResourceKey, RESOURCE_KEY_RULE),
        amount: z.int().min(1).max(MAX_AMOUNT),
      }),
    )
    .max(20)
    .default([]),
  /** Id or name of what root disks of its machines keep to, unless they name another. */
  storagePolicy: z.string().min(1).max(100).optional(),
});
export type CreateFlavorInput = z.input<typeof createFlavorInput>;

/** Sizes that an operator offers, with what one machine costs in each quota key. */
export class FlavorService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: CreateFlavorInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createFlavorInput, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'flavor');
      const costs = Object.fromEntries(input.costs.map((cost) => [cost.key, cost.amount]));
      for (const [index, cost] of input.costs.entries()) {
        if (SIZE_KEYS.has(cost.key)) {
          throw invalidInput(`input.costs.${index}.key`, `"${cost.key}" follows from the size; name other keys here.`);
        }
      }
      if (Object.keys(costs).length !== input.costs.length) throw invalidInput('input.costs', 'Name each quota key once.');
      const { storagePolicy: reference } = input;
      const [chosen = null] = reference === undefined ? [] : await resolveStoragePolicies(reader, [{ reference, field: 'input.storagePolicy' }]);
      const id = flavorId.create();
      const changes = new ChangeSet().add(ROWS, {
        table: 'flavor',
        insert: { id, name: input.name, cpu: input.cpu, memory_mib: input.memoryMib, disk_gib: input.diskGib, costs, storage_policy_id: chosen?.policy.id ?? null },
      });
      changes.resources.push({ action: 'CREATE', kind: 'flavor', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createFlavor', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** In use, it takes no new machines and goes with its last one. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'flavor');
      const row = await reader.first(findFlavors, [id]);
      if (row === undefined) throw notFound('flavor', id, 'input.id');
      const machines = (await reader.first(flavorInUse, id))?.machines ?? 0;
      const changes = new ChangeSet();
      changes.resources.push({ action: 'DELETE', kind: 'flavor', id, name: row.name });
      changes.add(
        ROWS,
        machines === 0
          ? { table: 'flavor', remove: true, id, version: row.version }
          : { table: 'flavor', update: { state: 'PENDING_DELETE' }, id, version: row.version },
      );
      if (machines > 0) {
        changes.reasons.push({ subject: row.name, message: 'Machines use it: it goes with the last of them.', data: { machines } });
      }
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteFlavor', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

/**
 * Finds flavors by id or name for new machines, all in one query.
 * @throws NOT_FOUND, or INVALID_STATE for one that is on its way out, with the field of the first.
 */
export async function resolveFlavors(
  reader: Reader,
  references: readonly { reference: string; field: string }[],
): Promise<Map<string, FlavorRow>> {
  const rows = await reader.rows(findFlavorsByReference, [...new Set(references.map((each) => each.reference))]);
  const found = new Map(rows.flatMap((row) => [[row.id, row] as const, [row.name, row] as const]));
  for (const { reference, field } of references) {
    const row = found.get(reference);
    if (row === undefined) throw notFound('flavor', reference, field);
    if (row.state !== 'ACTIVE') {
      throw new MuonError('INVALID_STATE', `The flavor "${row.name}" is being withdrawn and takes no new machines.`, { field });
    }
  }
  return found;
}

/** What one machine of the flavor takes from the quota. */
export function flavorCharges(flavor: FlavorRow): Record<string, number> {
  return { 'vm.count': 1, 'vm.cpu': flavor.cpu, 'vm.memory': flavor.memory_mib, ...flavor.costs };
}
