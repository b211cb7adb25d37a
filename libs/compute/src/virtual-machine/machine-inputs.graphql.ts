import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import type { JsonObject } from '#core';
import { JsonObjectScalar, Long } from '#graphql';
import { CommandPayload } from '#identity/api';
import { OperationPayload } from '#operations/api';
import { MachineRecovery, Power } from './virtual-machine.js';
import { VirtualMachine } from './virtual-machine.graphql.js';

@InputType({ description: 'A new virtual machine.' })
export class CreateVirtualMachineInput {
  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; also the guest\'s host name.' })
  readonly name!: string;

  @Field(() => String, { description: 'Id or name of a flavor.' })
  readonly flavor!: string;

  @Field(() => String, { description: 'Id or name of an image.' })
  readonly image!: string;

  @Field(() => ID, { description: 'The network that it gets an address in.' })
  readonly networkId!: string;

  @Field(() => [ID], {
    nullable: true,
    description: 'Security groups that its port is in from the beginning, 16 at most. In none, it is open in its network.',
  })
  readonly securityGroupIds?: string[] | null;

  @Field(() => String, { nullable: true, description: 'Id or name of a zone; any that the tenant may use if not given.' })
  readonly zone?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Id or name of the storage policy that its root disk shall keep to; the flavor’s, or else the default one, if not given.',
  })
  readonly storagePolicy?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only datastores of this kind for its root disk, in the operator’s word; any if not given.',
    deprecationReason: 'Since 2026-11-28: name a storage policy, which says the kinds that will do. Goes on 2027-06-01.',
  })
  readonly datastoreKind?: string | null;

  @Field(() => String, { nullable: true, description: 'Id or name of an affinity group of the project.' })
  readonly affinityGroup?: string | null;

  @Field(() => Power, { nullable: true, description: 'RUNNING or STOPPED; RUNNING if not given.' })
  readonly power?: Power | null;

  @Field(() => String, { nullable: true, description: 'User data for cloud-init, at most 32 KiB. It is kept encrypted and shown to nobody; the backend and the machine itself have it.' })
  readonly userData?: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Texts by name, at most 50.' })
  readonly metadata?: JsonObject | null;

  @Field(() => MachineRecovery, { nullable: true, description: 'What becomes of it when its host is lost; NONE if not given.' })
  readonly recovery?: MachineRecovery | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

/** What all changes of a machine are told. */
@InputType({ isAbstract: true })
abstract class MachineChangeInput {
  @Field(() => ID, { description: 'The machine.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT unless the machine has this version.' })
  readonly expectedVersion?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which machine to change, and how.' })
export class UpdateVirtualMachineInput extends MachineChangeInput {
  @Field(() => MachineRecovery, { description: 'What becomes of it when its host is lost. RECREATE is refused while it has disks beside its root disk.' })
  readonly recovery!: MachineRecovery;
}

@InputType({ description: 'Which machine to delete.' })
export class DeleteVirtualMachineInput extends MachineChangeInput {}

@InputType({ description: 'Which machine to start.' })
export class StartVirtualMachineInput extends MachineChangeInput {}

@InputType({ description: 'Which machine to stop, and how.' })
export class StopVirtualMachineInput extends MachineChangeInput {
  @Field(() => Boolean, { nullable: true, description: 'Cut the power instead of asking the guest.' })
  readonly force?: boolean | null;
}

@InputType({ description: 'Which machine to restart.' })
export class RestartVirtualMachineInput extends MachineChangeInput {}

@InputType({ description: 'Which machine to suspend.' })
export class SuspendVirtualMachineInput extends MachineChangeInput {}

@InputType({ description: 'Which machine to resume.' })
export class ResumeVirtualMachineInput extends MachineChangeInput {}

@InputType({ description: 'Which machine to resize, and to what.' })
export class ResizeVirtualMachineInput extends MachineChangeInput {
  @Field(() => String, { description: 'Id or name of the new flavor.' })
  readonly flavor!: string;
}

/** What all mutations of a machine answer. */
@ObjectType({ isAbstract: true })
abstract class MachinePayload extends OperationPayload {
  @Field(() => VirtualMachine, { nullable: true, description: 'The machine as it is now; null of a dry run that would make it.' })
  readonly virtualMachine!: VirtualMachine | null;
}

@ObjectType({ description: 'The machine that is being made.' })
export class CreateVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that was changed.' })
export class UpdateVirtualMachinePayload extends CommandPayload {
  @Field(() => VirtualMachine, { nullable: true, description: 'The machine as it is now.' })
  readonly virtualMachine!: VirtualMachine | null;
}

@ObjectType({ description: 'The machine that is being deleted.' })
export class DeleteVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being started.' })
export class StartVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being stopped.' })
export class StopVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being restarted.' })
export class RestartVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being suspended.' })
export class SuspendVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being resumed.' })
export class ResumeVirtualMachinePayload extends MachinePayload {}

@ObjectType({ description: 'The machine that is being resized.' })
export class ResizeVirtualMachinePayload extends MachinePayload {}
