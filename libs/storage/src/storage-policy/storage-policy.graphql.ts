import { Args, ArgsType, Context, Field, ID, Info, Int, ObjectType, Mutation, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, forgetLoaded, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE, type CommandResult } from '#identity';
import { accessOf, commandOf, CommandPayload, onlyForMembers, optionsOf, toPayload } from '#identity/api';
import { FailureDomain, RedundancyMethod } from '#infrastructure';
import { seesInfrastructure } from '#infrastructure/api';
import { ComplianceState, StoragePolicyState, type StoragePolicyRow } from './storage-policy.js';
import { CreateStoragePolicyInput, DeleteStoragePolicyInput, UpdateStoragePolicyInput } from './storage-policy-inputs.graphql.js';
import { StoragePolicyService, type UpdateStoragePolicyInput as UpdateStoragePolicy } from './storage-policy.service.js';
import { countCompliance, findStoragePolicies, findStoragePoliciesByReference, storagePolicies } from './storage-policy.sql.js';

registerEnumType(StoragePolicyState, {
  name: 'StoragePolicyState',
  description: 'Whether a storage policy is on offer.',
  valuesMap: {
    ACTIVE: { description: 'It takes new disks.' },
    PENDING_DELETE: { description: 'It was deleted while in use: it takes no new disks and goes with its last user.' },
  },
});
registerEnumType(ComplianceState, {
  name: 'ComplianceState',
  description: 'How a disk keeps to its storage policy.',
  valuesMap: {
    COMPLIANT: { description: 'It does.' },
    REDUCED_WAITING: { description: 'It works with fewer copies than it shall have, and nobody makes them again yet.' },
    REDUCED_REBUILDING: { description: 'It works with fewer copies than it shall have, and they are being made again.' },
    REDUCED_BLOCKED: { description: 'It works with fewer copies than it shall have, which cannot be made again now: for want of room or of hosts.' },
    RECONFIGURING: { description: 'Its policy has changed, and it is being changed accordingly.' },
    NONCOMPLIANT: { description: 'Its datastore does not promise what the policy asks for; the rules say what.' },
    UNAVAILABLE: { description: 'It cannot be used now.' },
    UNKNOWN: { description: 'Its backend does not tell.' },
  },
});

@ObjectType({ description: 'What each GiB of a disk of a policy takes of a quota key.' })
export class StoragePolicyCost {
  @Field(() => String, { description: 'The quota key, as `gold.capacity`.' })
  readonly key!: string;

  @Field(() => Long, { description: 'How much of it.' })
  readonly amountPerGib!: number;
}

@ObjectType({ description: 'How many disks of a policy keep to it in one way.' })
export class ComplianceCount {
  @Field(() => ComplianceState, { description: 'How.' })
  readonly state!: ComplianceState;

  @Field(() => Int, { description: 'How many.' })
  readonly disks!: number;
}

@ObjectType({ implements: () => [Node], description: 'What disks shall survive, where they may lie and how fast they may be. What it does not say does not matter to it.' })
export class StoragePolicy extends Node {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people.' })
  readonly description!: string;

  @Field(() => Int, { description: 'How many failures at once its disks survive.' })
  readonly failuresToTolerate!: number;

  @Field(() => FailureDomain, { nullable: true, description: 'Failures of what; null when they need not survive any.' })
  readonly failureDomain!: FailureDomain | null;

  @Field(() => RedundancyMethod, { nullable: true, description: 'By which means; any when null.' })
  readonly redundancyMethod!: RedundancyMethod | null;

  @Field(() => Boolean, { description: 'Whether they are encrypted at rest; else they may be.' })
  readonly needsEncryption!: boolean;

  @Field(() => Boolean, { description: 'Whether several hosts reach them; else they may be of one host.' })
  readonly needsSharedAccess!: boolean;

  @Field(() => [String], { description: 'The kinds of datastores, in the operator’s words; any when empty.' })
  readonly datastoreKinds!: string[];

  @Field(() => Int, { nullable: true, description: 'Reads and writes of one disk a second; no limit when null.' })
  readonly iopsLimit!: number | null;

  @Field(() => [StoragePolicyCost], { description: 'What each GiB takes of the quota besides `disk.capacity`.' })
  readonly costs!: StoragePolicyCost[];

  @Field(() => Boolean, { description: 'Whether disks have it that name none.' })
  readonly isDefault!: boolean;

  @Field(() => StoragePolicyState, { description: 'Whether it takes new disks.' })
  readonly state!: StoragePolicyState;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

function toStoragePolicy(row: StoragePolicyRow): StoragePolicy {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    description: row.description,
    failuresToTolerate: row.failures_to_tolerate,
    failureDomain: row.failure_domain,
    redundancyMethod: row.redundancy_method,
    needsEncryption: row.needs_encryption,
    needsSharedAccess: row.needs_shared_access,
    datastoreKinds: row.datastore_kinds,
    iopsLimit: row.iops_limit,
    costs: Object.entries(row.costs).map(([key, amountPerGib]) => ({ key, amountPerGib })),
    isDefault: row.is_default,
    state: row.state,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

async function loadStoragePolicies(reader: Reader, ids: readonly string[]): Promise<Map<string, StoragePolicy>> {
  return new Map((await reader.rows(findStoragePolicies, [...ids])).map((row) => [row.id, toStoragePolicy(row)]));
}

/** Everybody may see every policy. */
export async function loadStoragePolicy(reader: Reader, context: GraphqlContext, id: unknown): Promise<StoragePolicy | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, StoragePolicy>(context, 'storage.policy', (ids) => loadStoragePolicies(reader, ids)).load(id)) ?? null;
}

const StoragePolicyConnection = connectionOf(StoragePolicy);

@ArgsType()
class StoragePolicyArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => String, { nullable: true, description: 'Its name, instead of the id.' })
  readonly name?: string | null;
}

@ArgsType()
class StoragePoliciesArguments extends PageArguments {
  @Field(() => String, { nullable: true, description: 'Only the one of this name.' })
  readonly name?: string | null;
}

@ObjectType({ description: 'The storage policy that was made, changed or deleted.' })
export class StoragePolicyPayload extends CommandPayload {
  @Field(() => StoragePolicy, { nullable: true, description: 'It as it is now; null of a dry run that would make it, and when it is gone.' })
  readonly storagePolicy!: StoragePolicy | null;
}

@Authenticated()
@Resolver(() => StoragePolicy)
export class StoragePolicyResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: StoragePolicyService,
    registry: NodeRegistry,
  ) {
    registry.register({
      prefix: 'stp',
      typeName: 'StoragePolicy',
      load: async (ids, context) => (accessOf(context).holdsAnything ? loadStoragePolicies(database, ids) : new Map()),
    });
  }

  @Query(() => StoragePolicy, { description: 'One storage policy, by id or by name.' })
  async storagePolicy(@Args() { id, name }: StoragePolicyArguments, @Context() context: GraphqlContext): Promise<StoragePolicy> {
    if ((id == null) === (name == null)) throw invalidInput('id', 'Give either the id or the name.');
    const reference = id ?? name ?? '';
    const rows = await this.database.rows(findStoragePoliciesByReference, [reference]);
    const found = rows.find((row) => (id == null ? row.name : row.id) === reference);
    if (found === undefined || !accessOf(context).holdsAnything) throw notFound('storage policy', reference, id == null ? 'name' : 'id');
    return toStoragePolicy(found);
  }

  @Query(() => StoragePolicyConnection, { description: 'All storage policies, by name.' })
  storagePolicies(
    @Args() args: StoragePoliciesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<StoragePolicy>> {
    const source = onlyForMembers(context, listSource(storagePolicies, this.database, [args.name ?? null], 'NAME'));
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toStoragePolicy);
  }

  // Undecorated parameters: called once a row of a list.
  @ResolveField('compliance', () => [ComplianceCount], {
    nullable: true,
    description: 'For operators: how many disks keep to it, and how; null for others.',
  })
  async compliance(policy: StoragePolicy, _args: unknown, context: GraphqlContext): Promise<ComplianceCount[] | null> {
    if (!seesInfrastructure(context)) return null;
    const load = loader<string, ComplianceCount[]>(context, 'storage.policy_compliance', async (ids) => {
      const counts = await this.database.rows(countCompliance, [...ids]);
      const byPolicy = Map.groupBy(counts, (row) => row.storage_policy_id);
      return new Map([...byPolicy].map(([id, rows]) => [id, rows.map(({ compliance: state, disks }) => ({ state, disks }))]));
    });
    return (await load.load(policy.id)) ?? [];
  }

  @Mutation(() => StoragePolicyPayload, { description: 'For operators: offers a storage policy. The plan says how many datastores keep it.' })
  async createStoragePolicy(
    @Args('input', { type: () => CreateStoragePolicyInput, description: 'What to make.' }) input: CreateStoragePolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<StoragePolicyPayload> {
    const { command, options } = commandOf(input, context);
    const { costs, ...rest } = command;
    const wanted = { ...rest, ...(costs === undefined ? {} : { costs: costs.map((cost) => ({ ...cost })) }) };
    const outcome = await this.service.create(accessOf(context), wanted, options);
    return this.payload(context, outcome, outcome.result.id);
  }

  @Mutation(() => StoragePolicyPayload, {
    description:
      'For operators: changes what disks of a policy need, those that are there as well. The plan says how many lie where it is not kept; they stay there, as NONCOMPLIANT.',
  })
  async updateStoragePolicy(
    @Args('input', { type: () => UpdateStoragePolicyInput, description: 'What to change.' }) input: UpdateStoragePolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<StoragePolicyPayload> {
    const { command, options } = commandOf(input, context, ['failureDomain', 'redundancyMethod', 'iopsLimit']);
    return this.payload(context, await this.service.update(accessOf(context), command as UpdateStoragePolicy, options), input.id);
  }

  @Mutation(() => StoragePolicyPayload, { description: 'For operators: withdraws a storage policy; in use, it takes no new disks and goes with its last user.' })
  async deleteStoragePolicy(
    @Args('input', { type: () => DeleteStoragePolicyInput, description: 'Which.' }) input: DeleteStoragePolicyInput,
    @Context() context: GraphqlContext,
  ): Promise<StoragePolicyPayload> {
    return this.payload(context, await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), input.id);
  }

  private async payload(context: GraphqlContext, outcome: CommandResult, id: unknown): Promise<StoragePolicyPayload> {
    forgetLoaded(context);
    return { ...toPayload(outcome), storagePolicy: await loadStoragePolicy(this.database, context, id) };
  }
}
