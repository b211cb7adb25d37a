import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database, type Reader } from '#database';
import { DiskHealth } from '#drivers';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, listOrder, loader, Long, Node, NodeRegistry, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, Problem, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, ProjectResourcesArguments, toProjectResource } from '#tenancy/api';
import { ComplianceState, PolicyRule, type PolicyRuleResult } from '../storage-policy/storage-policy.js';
import { loadStoragePolicy, StoragePolicy } from '../storage-policy/storage-policy.graphql.js';
import { diskId, DiskState, diskState, isRootDisk, type DiskRow } from './disk.js';
import { DiskService, type UpdateDiskInput as UpdateDisk } from './disk.service.js';
import { disks, findDisksOfOwners, findVisibleDisks } from './disk.sql.js';

registerEnumType(DiskState, {
  name: 'DiskState',
  description: 'How a disk is.',
  valuesMap: {
    CREATING: { description: 'It is being made.' },
    AVAILABLE: { description: 'It is there, and no machine has it.' },
    ATTACHING: { description: 'A machine is getting it.' },
    ATTACHED: { description: 'A machine has it.' },
    DETACHING: { description: 'It is being taken from its machine.' },
    RESIZING: { description: 'It is being made larger.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be made; `failure` says why. It holds only its name, and can be retried or deleted.' },
  },
});
registerEnumType(DiskHealth, {
  name: 'DiskHealth',
  description: 'How the backend says that a disk is.',
  valuesMap: {
    HEALTHY: { description: 'As it shall be.' },
    DEGRADED: { description: 'It works, with fewer copies or less speed than it shall have.' },
    REBUILDING: { description: 'It works with fewer copies than it shall have, and they are being made again.' },
    BLOCKED: { description: 'It works with fewer copies than it shall have, which cannot be made again now: for want of room or of hosts.' },
    UNAVAILABLE: { description: 'It cannot be used now.' },
    UNKNOWN: { description: 'Nobody could tell yet, or the backend does not know it.' },
  },
});

registerEnumType(PolicyRule, {
  name: 'StoragePolicyRule',
  description: 'One thing that a storage policy can ask for.',
  valuesMap: {
    FAILURES_TO_TOLERATE: { description: 'Failures at once, and of what.' },
    REDUNDANCY_METHOD: { description: 'The means by which failures are survived.' },
    ENCRYPTION: { description: 'Encryption at rest.' },
    SHARED_ACCESS: { description: 'That several hosts reach it.' },
    DATASTORE_KIND: { description: 'The kind of datastore, in the operator’s word.' },
    IOPS_LIMIT: { description: 'A limit of reads and writes a second.' },
  },
});

@ObjectType({ description: 'One thing that a disk’s storage policy asks for, and what there is.' })
export class DiskComplianceRule {
  @Field(() => PolicyRule, { description: 'Which.' })
  readonly rule!: PolicyRule;

  @Field(() => String, { description: 'What is asked for.' })
  readonly expected!: string;

  @Field(() => String, { description: 'What its datastore has.' })
  readonly actual!: string;

  @Field(() => Boolean, { description: 'Whether that will do.' })
  readonly isKept!: boolean;
}

@ObjectType({ description: 'How a disk keeps to its storage policy.' })
export class DiskCompliance {
  @Field(() => ComplianceState, { description: 'How.' })
  readonly state!: ComplianceState;

  @Field(() => DateTime, { description: 'Since when it is so.' })
  readonly since!: Date;

  @Field(() => [DiskComplianceRule], { description: 'Each thing that the policy asks for.' })
  readonly rules!: PolicyRuleResult[];
}

const DiskOrder = listOrder('DiskOrder', 'disks');

@ObjectType({ implements: () => [Node], description: 'A block device of a project.' })
export class Disk extends ProjectResource {
  @Field(() => String, { description: 'Unique among the project’s disks of their own; a machine’s root disk is called as the machine.' })
  override readonly name!: string;

  @Field(() => ID, { nullable: true, description: 'The machine that has it, or is getting it; null when none has.' })
  readonly ownerId!: string | null;

  @Field(() => Boolean, { description: 'Whether it is the root disk of a machine: that is never detached, and goes with the machine.' })
  readonly isRoot!: boolean;

  @Field(() => ID, { nullable: true, description: 'The zone that it is in; null when its pool reaches all zones of the backend.' })
  readonly zoneId!: string | null;

  @Field(() => Int, { description: 'How large it shall be, in GiB.' })
  readonly sizeGib!: number;

  @Field(() => Int, { nullable: true, description: 'How many reads and writes together it may do in a second; null when nothing limits it.' })
  readonly iopsLimit!: number | null;

  @Field(() => DiskState, { description: 'How it is.' })
  readonly state!: DiskState;

  @Field(() => DiskHealth, { description: 'How the backend says that it is.' })
  readonly health!: DiskHealth;

  @Field(() => DateTime, { nullable: true, description: 'When the backend last said something new.' })
  readonly observedAt!: Date | null;

  @Field(() => DiskCompliance, { nullable: true, description: 'How it keeps to its storage policy; null without one, and while it is not there.' })
  readonly compliance!: DiskCompliance | null;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => Long, { description: 'Rises with every change of what is wanted; give it as `expectedVersion`.' })
  override readonly version!: number;

  readonly storagePolicyId!: string | null;
}

const DiskConnection = connectionOf(Disk);

export function toDisk(row: DiskRow): Disk {
  return {
    ...toProjectResource(row),
    ownerId: row.owner_id,
    isRoot: isRootDisk(row),
    zoneId: row.zone_id,
    sizeGib: row.size_gib,
    iopsLimit: row.iops_limit,
    state: diskState(row),
    health: row.health,
    observedAt: row.observed_at,
    compliance: complianceOfRow(row),
    storagePolicyId: row.storage_policy_id,
    failure: row.failure === null ? null : toProblem(row.failure),
  };
}

function complianceOfRow({ compliance: state, compliance_since: since, compliance_rules: rules }: DiskRow): DiskCompliance | null {
  return state === null || since === null ? null : { state, since, rules: rules ?? [] };
}

/** Of these disks, those that the caller may see. */
async function loadDisks(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Disk>> {
  const rows = await reader.rows(findVisibleDisks, ...accessOf(context).filter('disk'), [...ids]);
  return new Map(rows.map((row) => [row.id, toDisk(row)]));
}

/** One disk, as it is now; null when the caller may not see it. */
export async function loadDisk(reader: Reader, context: GraphqlContext, id: unknown): Promise<Disk | null> {
  return typeof id === 'string' ? ((await loadDisks(reader, context, [id])).get(id) ?? null) : null;
}

/** For `disks` of whatever has disks, looked up together with those of all others that the request asks for; the root disk first. */
export async function loadDisksOf(reader: Reader, context: GraphqlContext, ownerId: string): Promise<Disk[]> {
  const load = loader<string, DiskRow[]>(context, 'disk.ofOwner', async (ids) =>
    Map.groupBy(await reader.rows(findDisksOfOwners, [...ids]), (row) => row.owner_id ?? ''),
  );
  const access = accessOf(context);
  const rows = (await load.load(ownerId)) ?? [];
  return rows.filter((row) => access.sees('disk', { tenantId: row.tenant_id, projectId: row.project_id })).map(toDisk);
}

@ArgsType()
class DisksArguments extends ProjectResourcesArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this machine.' })
  readonly ownerId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this storage policy.' })
  readonly storagePolicyId?: string | null;

  @Field(() => ComplianceState, { nullable: true, description: 'Only those that keep to their storage policy so.' })
  readonly compliance?: ComplianceState | null;

  @Field(() => DiskOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'A new disk of its own.' })
export class CreateDiskInput extends CommandInput {
  @Field(() => ID, { description: 'The project that it will belong to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; a DNS label.' })
  readonly name!: string;

  @Field(() => Int, { description: 'How large, in GiB.' })
  readonly sizeGib!: number;

  @Field(() => String, { nullable: true, description: 'Id or name of the zone; any of the tenant’s if not given.' })
  readonly zone?: string | null;

  @Field(() => ID, {
    nullable: true,
    description: 'A machine of the project that it shall be attached to later: it is made where that machine reaches it.',
  })
  readonly virtualMachineId?: string | null;

  @Field(() => String, { nullable: true, description: 'Id or name of the storage policy that it shall keep to; the default one, if there is one, if not given.' })
  readonly storagePolicy?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only datastores of this kind, in the operator’s word; any if not given.',
    deprecationReason: 'Since 2026-11-28: name a storage policy, which says the kinds that will do. Goes on 2027-06-01.',
  })
  readonly datastoreKind?: string | null;
}

@InputType({ description: 'What a disk of its own shall keep to.' })
export class UpdateDiskInput extends CommandInput {
  @Field(() => ID, { description: 'The disk.' })
  readonly id!: string;

  @Field(() => String, { nullable: true, description: 'Id or name of its storage policy from now on; null for none.' })
  readonly storagePolicy!: string | null;

  @Field(() => Long, { nullable: true, description: 'The version that the disk must still have; CONFLICT when it has another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'How large a disk of its own shall be.' })
export class ResizeDiskInput extends CommandInput {
  @Field(() => ID, { description: 'The disk.' })
  readonly id!: string;

  @Field(() => Int, { description: 'How large, in GiB; a disk only grows.' })
  readonly sizeGib!: number;

  @Field(() => Long, { nullable: true, description: 'The version that the disk must still have; CONFLICT when it has another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'Which disk to delete.' })
export class DeleteDiskInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The disk that is made, changed or deleted.' })
export class DiskPayload extends OperationPayload {
  @Field(() => Disk, { nullable: true, description: 'It; null of a dry run.' })
  readonly disk!: Disk | null;
}

@Authenticated()
@Resolver(() => Disk)
export class DiskResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: DiskService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: diskId.prefix, typeName: 'Disk', load: (ids, context) => loadDisks(database, context, ids) });
  }

  @Query(() => DiskConnection, { description: 'The disks that the caller may see.' })
  async disks(
    @Args() args: DisksArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Disk>> {
    const filter = accessOf(context).filter('disk');
    const parameters: Parameters<typeof disks.count>[1] = [
      ...filter,
      args.projectId ?? null,
      args.tenantId ?? null,
      args.ownerId ?? null,
      args.name ?? null,
      null,
      args.storagePolicyId ?? null,
      args.compliance ?? null,
    ];
    const source = listSource(disks, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toDisk);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(disk: Disk, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, disk.id);
  }

  @Mutation(() => DiskPayload, { description: 'Makes a disk of its own.' })
  async createDisk(
    @Args('input', { type: () => CreateDiskInput, description: 'What to make.' }) input: CreateDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @ResolveField('storagePolicy', () => StoragePolicy, { nullable: true, description: 'What it keeps to; null for nothing.' })
  storagePolicy(disk: Disk, _args: unknown, context: GraphqlContext): Promise<StoragePolicy | null> {
    return loadStoragePolicy(this.database, context, disk.storagePolicyId);
  }

  @Mutation(() => DiskPayload, {
    description: 'Gives a disk of its own another storage policy. It stays where it is: refused, naming the rules, when its datastore does not keep that.',
  })
  async updateDisk(
    @Args('input', { type: () => UpdateDiskInput, description: 'Which, and what it shall keep to.' }) input: UpdateDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    const { command, options } = commandOf(input, context, ['storagePolicy']);
    return this.payload(await this.service.update(accessOf(context), command as UpdateDisk, options), context);
  }

  @Mutation(() => DiskPayload, { description: 'Makes a disk of its own larger, also while a machine has it.' })
  async resizeDisk(
    @Args('input', { type: () => ResizeDiskInput, description: 'Which, and how large.' }) input: ResizeDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.resize(accessOf(context), command, options), context);
  }

  @Mutation(() => DiskPayload, { description: 'Deletes a disk of its own that no machine has, with what is on it.' })
  async deleteDisk(
    @Args('input', { type: () => DeleteDiskInput, description: 'Which.' }) input: DeleteDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<DiskPayload> {
    return { ...(await toOperationPayload(this.database, context, outcome)), disk: await loadDisk(this.database, context, outcome.result.id) };
  }
}
