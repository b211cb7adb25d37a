import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { FailureDomain, MAX_FAILURES, RedundancyMethod } from '#infrastructure';
import { isResourceKey, RESOURCE_KEY_RULE } from '#quota';
import { readOffer } from './policy-choice.js';
import { usesOfPolicy, type StoragePolicyUsers } from './policy-users.js';
import { isKeptBy, storagePolicyId, StoragePolicyState, type StorageNeeds, type StoragePolicyRow } from './storage-policy.js';
import { countDisksByOffer, countOffers, findDefaultStoragePolicy, findStoragePolicies } from './storage-policy.sql.js';

constraintMeans('storage_policy_name', () => new MuonError('ALREADY_EXISTS', 'A storage policy of this name exists already.', { field: 'input.name' }));
constraintMeans(
  'storage_policy_default',
  () => new MuonError('CONFLICT', 'Another policy became the default one at the same time; read it again.', { field: 'input.isDefault' }),
);

const MAX_IOPS = 10_000_000;
const MAX_AMOUNT_PER_GIB = 1_000_000;
/** Keys that a disk's size itself takes; a cost may not name them a second time. */
const SIZE_KEYS = new Set(['disk.count', 'disk.capacity']);

const needs = {
  /** 0 to 3. */
  failuresToTolerate: z.int().min(0).max(MAX_FAILURES),
  failureDomain: z.enum(FailureDomain).nullable(),
  redundancyMethod: z.enum(RedundancyMethod).nullable(),
  needsEncryption: z.boolean(),
  needsSharedAccess: z.boolean(),
  /** Empty for any. */
  datastoreKinds: z.array(nameSchema).max(20),
  /** Reads and writes of a disk a second; null for no limit. */
  iopsLimit: z.int().min(1).max(MAX_IOPS).nullable(),
};

export const createStoragePolicyInput = z.strictObject({
  name: nameSchema,
  description: descriptionSchema.default(''),
  failuresToTolerate: needs.failuresToTolerate.default(0),
  failureDomain: needs.failureDomain.default(null),
  redundancyMethod: needs.redundancyMethod.default(null),
  needsEncryption: needs.needsEncryption.default(false),
  needsSharedAccess: needs.needsSharedAccess.default(false),
  datastoreKinds: needs.datastoreKinds.default([]),
  iopsLimit: needs.iopsLimit.default(null),
  costs: z
    .array(
      z.strictObject({
        key: z.string().refine(isResourceKey, RESOURCE_KEY_RULE),
        amountPerGib: z.int().min(1).max(MAX_AMOUNT_PER_GIB),
      }),
    )
    .max(20)
    .default([]),
});
export type CreateStoragePolicyInput = z.input<typeof createStoragePolicyInput>;

export const updateStoragePolicyInput = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  description: descriptionSchema.optional(),
  isDefault: z.boolean().optional(),
  ...z.object(needs).partial().shape,
});
export type UpdateStoragePolicyInput = z.input<typeof updateStoragePolicyInput>;

/** What disks shall survive and how fast they may be, as operators offer it. */
@Injectable()
export class StoragePolicyService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly users: readonly StoragePolicyUsers[],
  ) {}

  /** The plan says how many datastores keep it. @throws INVALID_INPUT, ALREADY_EXISTS */
  async create(access: Access, raw: CreateStoragePolicyInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createStoragePolicyInput, raw);
    return this.commands.run({ access, name: 'createStoragePolicy', input, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.CREATE_CHILD, 'storage policy');
      const { costs, name, description } = input;
      for (const [index, { key }] of costs.entries()) {
        if (SIZE_KEYS.has(key)) throw invalidInput(`input.costs.${index}.key`, `"${key}" follows from the size; name other keys here.`);
      }
      const perGib = Object.fromEntries(costs.map(({ key, amountPerGib }) => [key, amountPerGib]));
      if (Object.keys(perGib).length !== costs.length) throw invalidInput('input.costs', 'Name each quota key once.');
      const id = storagePolicyId.create();
      const wanted = requireWhole(columnsOf(input));
      const changes = new ChangeSet().add(ROWS, { table: 'storage_policy', insert: { id, name, description, ...wanted, costs: perGib } });
      changes.resources.push({ action: 'CREATE', kind: 'storage policy', id, name });
      changes.reasons.push(await keptNow(reader, name, wanted));
      changes.result = { id };
      return changes;
    });
  }

  /**
   * Changes what its disks need, those that are there as well: the plan says how many would lie where it is not kept. Those stay where
   * they are, and become NONCOMPLIANT.
   * @throws CONFLICT, INVALID_INPUT, NOT_FOUND
   */
  async update(access: Access, raw: UpdateStoragePolicyInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateStoragePolicyInput, raw);
    const { id, expectedVersion, description, isDefault } = input;
    return this.commands.run({ access, name: 'updateStoragePolicy', input: { ...raw }, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.MODIFY, 'storage policy');
      const row = await requirePolicy(reader, id);
      const version = expectedVersion ?? row.version;
      if (version !== row.version) throw versionConflict('storage_policy', { id, version });
      if (isDefault === true && row.state !== StoragePolicyState.ACTIVE) {
        throw new MuonError('INVALID_STATE', `The storage policy "${row.name}" is being withdrawn.`, { field: 'input.isDefault' });
      }
      const before = needsOf(row);
      const wanted = requireWhole({ ...before, ...columnsOf(input) });
      const changed = Object.fromEntries(Object.entries(wanted).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key as keyof StorageNeeds])));
      const changes = new ChangeSet();
      const standard = isDefault === true && !row.is_default ? await reader.first(findDefaultStoragePolicy) : undefined;
      // Before the other becomes it: there is one at most.
      if (standard !== undefined) changes.add(ROWS, { table: 'storage_policy', update: { is_default: false }, id: standard.id, version: standard.version });
      const update = {
        ...changed,
        ...(description === undefined ? {} : { description }),
        ...(isDefault === undefined ? {} : { is_default: isDefault }),
      };
      if (Object.keys(update).length > 0) changes.add(ROWS, { table: 'storage_policy', update, id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'storage policy', id, name: row.name });
      const kept = await keptNow(reader, row.name, wanted);
      if (Object.keys(changed).length > 0) changes.reasons.push(kept, await brokenNow(reader, row, wanted));
      if ((isDefault ?? row.is_default) && kept.data.keeping === 0) {
        const message = 'No active datastore keeps it, so nothing that names no policy could be made; let another be the default one.';
        changes.problems.push(new MuonError('INVALID_STATE', message, { field: 'input.isDefault' }).toRecord());
      }
      changes.result = { id };
      return changes;
    });
  }

  /** In use, it takes no new disks and goes with the last of them. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.commands.run({ access, name: 'deleteStoragePolicy', input: { id }, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.DELETE, 'storage policy');
      const { name, version } = await requirePolicy(reader, id);
      const uses = await usesOfPolicy(reader, this.users, id);
      const isUsed = uses.length > 0;
      const changes = new ChangeSet();
      const update = { state: StoragePolicyState.PENDING_DELETE, is_default: false };
      changes.add(ROWS, isUsed ? { table: 'storage_policy', update, id, version } : { table: 'storage_policy', remove: true, id, version });
      changes.resources.push({ action: 'DELETE', kind: 'storage policy', id, name });
      if (isUsed) {
        const list = uses.map((use) => `${use.count} ${use.users}`).join(', ');
        const data = Object.fromEntries(uses.map((use) => [use.users, use.count]));
        changes.reasons.push({ subject: name, message: `It is in use (${list}) and goes with the last of them.`, data });
      }
      changes.result = { id };
      return changes;
    });
  }
}

type Needs = { [Key in keyof typeof needs]?: z.output<(typeof needs)[Key]> | undefined };

function columnsOf(input: Needs): Partial<StorageNeeds> {
  const columns = {
    failures_to_tolerate: input.failuresToTolerate,
    failure_domain: input.failureDomain,
    redundancy_method: input.redundancyMethod,
    needs_encryption: input.needsEncryption,
    needs_shared_access: input.needsSharedAccess,
    datastore_kinds: input.datastoreKinds === undefined ? undefined : [...new Set(input.datastoreKinds)].sort(),
    iops_limit: input.iopsLimit,
  };
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined)) as Partial<StorageNeeds>;
}

function needsOf(row: StoragePolicyRow): StorageNeeds {
  const { failures_to_tolerate, failure_domain, redundancy_method, needs_encryption, needs_shared_access, datastore_kinds, iops_limit } = row;
  return { failures_to_tolerate, failure_domain, redundancy_method, needs_encryption, needs_shared_access, datastore_kinds, iops_limit };
}

/** @throws INVALID_INPUT when one is said without the other */
function requireWhole(wanted: Partial<StorageNeeds>): StorageNeeds {
  const { failures_to_tolerate: count, failure_domain: domain } = wanted;
  if (count === 0 && domain !== null) throw invalidInput('input.failuresToTolerate', 'A domain is for failures to tolerate; say how many, or leave it out.');
  if (count !== 0 && domain === null) throw invalidInput('input.failureDomain', 'Failures of what shall be tolerated? Name DISK, HOST, RACK or ZONE.');
  return wanted as StorageNeeds;
}

async function keptNow(reader: Reader, subject: string, wanted: StorageNeeds): Promise<ChangeSet['reasons'][number] & { data: { datastores: number; keeping: number } }> {
  const counts = { datastores: 0, keeping: 0 };
  for (const { offer, datastores } of await reader.rows(countOffers)) {
    counts.datastores += datastores;
    if (isKeptBy(wanted, readOffer(offer))) counts.keeping += datastores;
  }
  return { subject, message: `${counts.keeping} of ${counts.datastores} active datastores keep it.`, data: counts };
}

async function brokenNow(reader: Reader, { id, name }: StoragePolicyRow, wanted: StorageNeeds): Promise<ChangeSet['reasons'][number]> {
  const counts = { disks: 0, noncompliant: 0 };
  for (const { offer, disks } of await reader.rows(countDisksByOffer, id)) {
    counts.disks += disks;
    if (!isKeptBy(wanted, readOffer(offer))) counts.noncompliant += disks;
  }
  const message = `${counts.noncompliant} of its ${counts.disks} disks lie on datastores that do not keep it, and stay there as NONCOMPLIANT.`;
  return { subject: name, message, data: counts };
}

async function requirePolicy(reader: Reader, id: string): Promise<StoragePolicyRow> {
  const [row] = await reader.rows(findStoragePolicies, [id]);
  if (row === undefined) throw notFound('storage policy', id, 'input.id');
  return row;
}
