import { Args, Context, Field, ID, InputType, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, Long, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf } from '#identity/api';
import { toOperationPayload } from '#operations/api';
import { Disk, DiskPayload, loadDisk } from '#storage/api';
import { withoutNulls } from '../catalogue.graphql.js';
import { loadVirtualMachine, VirtualMachine } from '../virtual-machine/virtual-machine.graphql.js';
import { DiskAttachmentService } from './disk-attachment.service.js';

@InputType({ description: 'Which disk to take from its machine.' })
export class DetachDiskInput {
  @Field(() => ID, { description: 'The disk.' })
  readonly diskId!: string;

  @Field(() => Long, { nullable: true, description: 'The version that the disk must still have; CONFLICT when it has another.' })
  readonly expectedVersion?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which disk to give to which machine.' })
export class AttachDiskInput extends DetachDiskInput {
  @Field(() => ID, { description: 'A machine of the same project that reaches the disk.' })
  readonly virtualMachineId!: string;
}

@Authenticated()
@Resolver(() => Disk)
export class DiskAttachmentResolver {
  constructor(
    private readonly database: Database,
    private readonly service: DiskAttachmentService,
  ) {}

  @ResolveField('virtualMachine', () => VirtualMachine, { nullable: true, description: 'The machine that has it, or is getting it; null when none has.' })
  virtualMachine(disk: Disk, _args: unknown, context: GraphqlContext): Promise<VirtualMachine | null> {
    return loadVirtualMachine(this.database, context, disk.ownerId);
  }

  @Mutation(() => DiskPayload, {
    description:
      'Gives a disk to a machine, which may run. Both must be of the same project and zone, and the machine must reach the pool that holds the disk: ' +
      'make it with `createDisk(virtualMachineId:)` to be sure. What is on it stays on it, also when the machine is deleted.',
  })
  async attachDisk(
    @Args('input', { type: () => AttachDiskInput, description: 'Which, and to which machine.' }) input: AttachDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    const { dryRun, ...wanted } = withoutNulls(input);
    return this.payload(await this.service.attach(accessOf(context), wanted, { dryRun, idempotencyKey: context.idempotencyKey }), context);
  }

  @Mutation(() => DiskPayload, {
    description: 'Takes a disk from its machine, which may run: unmount it in the guest first. What is on it stays on it.',
  })
  async detachDisk(
    @Args('input', { type: () => DetachDiskInput, description: 'Which.' }) input: DetachDiskInput,
    @Context() context: GraphqlContext,
  ): Promise<DiskPayload> {
    const { dryRun, ...wanted } = withoutNulls(input);
    return this.payload(await this.service.detach(accessOf(context), wanted, { dryRun, idempotencyKey: context.idempotencyKey }), context);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext): Promise<DiskPayload> {
    return { ...(await toOperationPayload(this.database, context, outcome)), disk: await loadDisk(this.database, context, outcome.result.id) };
  }
}
