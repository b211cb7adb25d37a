import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, listOrder, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext, type ListOrder } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, CommandInput, commandOf, optionsOf, Problem, resultId, toProblem } from '#identity/api';
import { loadCurrentOperation, Operation, OperationPayload, toOperationPayload } from '#operations/api';
import { ProjectResource, toProjectResource } from '#tenancy/api';
import { DiskSnapshotState, diskSnapshotId, diskSnapshotState, type DiskSnapshotRow } from './disk-snapshot.js';
import { DiskSnapshotService } from './disk-snapshot.service.js';
import { diskSnapshots, findVisibleDiskSnapshots } from './disk-snapshot.sql.js';

registerEnumType(DiskSnapshotState, {
  name: 'DiskSnapshotState',
  description: 'How a snapshot of a disk is.',
  valuesMap: {
    CREATING: { description: 'It is being taken.' },
    AVAILABLE: { description: 'It is there.' },
    DELETING: { description: 'It is being taken away.' },
    FAILED: { description: 'It could not be taken; `failure` says why. It holds only its name, and can be deleted.' },
  },
});

const DiskSnapshotOrder = listOrder('DiskSnapshotOrder', 'snapshots of disks');

@ObjectType({
  implements: () => [Node],
  description: 'What was on a disk at one time, kept beside it in its pool. It goes with the disk, and is no backup: what takes the pool takes both.',
})
export class DiskSnapshot extends ProjectResource {
  @Field(() => String, { description: 'Unique among the snapshots of the disk.' })
  override readonly name!: string;

  @Field(() => ID, { description: 'The disk that it is of.' })
  readonly diskId!: string;

  @Field(() => Int, { description: 'How large the disk was, in GiB.' })
  readonly sizeGib!: number;

  @Field(() => DiskSnapshotState, { description: 'How it is.' })
  readonly state!: DiskSnapshotState;

  @Field(() => DateTime, { nullable: true, description: 'By when it was taken: all that was written to the disk before it was asked for is in it.' })
  readonly takenAt!: Date | null;

  @Field(() => Problem, { nullable: true, description: 'Why it could not be taken.' })
  readonly failure!: Problem | null;
}

const DiskSnapshotConnection = connectionOf(DiskSnapshot);

function toDiskSnapshot(row: DiskSnapshotRow): DiskSnapshot {
  return {
    ...toProjectResource(row),
    diskId: row.disk_id,
    sizeGib: row.size_gib,
    state: diskSnapshotState(row),
    takenAt: row.taken_at,
    failure: row.failure === null ? null : toProblem(row.failure),
  };
}

async function loadDiskSnapshots(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, DiskSnapshot>> {
  const rows = await reader.rows(findVisibleDiskSnapshots, ...accessOf(context).filter('disk snapshot'), [...ids]);
  return new Map(rows.map((row) => [row.id, toDiskSnapshot(row)]));
}

@ArgsType()
class DiskSnapshotsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this disk.' })
  readonly diskId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => DiskSnapshotOrder, { nullable: true, description: 'CREATED if not given.' })
  readonly order?: ListOrder | null;
}

@InputType({ description: 'Of which disk to take a snapshot.' })
export class CreateDiskSnapshotInput extends CommandInput {
  @Field(() => ID, { description: 'A disk of its own, attached or not.' })
  readonly diskId!: string;

  @Field(() => String, { description: 'Unique among the snapshots of the disk; a DNS label.' })
  readonly name!: string;
}

@InputType({ description: 'Which snapshot to delete.' })
export class DeleteDiskSnapshotInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The snapshot that is taken or deleted.' })
export class DiskSnapshotPayload extends OperationPayload {
  @Field(() => DiskSnapshot, { nullable: true, description: 'It; null of a dry run that would take it.' })
  readonly diskSnapshot!: DiskSnapshot | null;
}

@Authenticated()
@Resolver(() => DiskSnapshot)
export class DiskSnapshotResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: DiskSnapshotService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: diskSnapshotId.prefix, typeName: 'DiskSnapshot', load: (ids, context) => loadDiskSnapshots(database, context, ids) });
  }

  @Query(() => DiskSnapshotConnection, { description: 'The snapshots of disks that the caller may see.' })
  diskSnapshots(
    @Args() args: DiskSnapshotsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<DiskSnapshot>> {
    const { projectId, diskId, name } = args;
    const parameters: Parameters<typeof diskSnapshots.count>[1] = [...accessOf(context).filter('disk snapshot'), projectId ?? null, diskId ?? null, name ?? null];
    const source = listSource(diskSnapshots, this.database, parameters, args.order ?? 'CREATED');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toDiskSnapshot);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The job that holds it now.' })
  async currentOperation(snapshot: DiskSnapshot, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, snapshot.id);
  }

  @Mutation(() => DiskSnapshotPayload, {
    description: 'Takes a snapshot of a disk, also while a machine writes to it: what the guest has not written out yet is not in it.',
  })
  async createDiskSnapshot(
    @Args('input', { type: () => CreateDiskSnapshotInput, description: 'Of which, and its name.' }) input: CreateDiskSnapshotInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskSnapshotPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(await this.service.create(accessOf(context), command, options), context);
  }

  @Mutation(() => DiskSnapshotPayload, { description: 'Deletes a snapshot of a disk; the disk stays as it is.' })
  async deleteDiskSnapshot(
    @Args('input', { type: () => DeleteDiskSnapshotInput, description: 'Which.' }) input: DeleteDiskSnapshotInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskSnapshotPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, optionsOf(input, context)), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<DiskSnapshotPayload> {
    const payload = await toOperationPayload(this.database, context, outcome);
    const id = resultId(outcome.result);
    const diskSnapshot = id === null ? null : ((await loadDiskSnapshots(this.database, context, [id])).get(id) ?? null);
    return { ...payload, diskSnapshot };
  }
}
