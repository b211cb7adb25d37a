import { Field, ID, InputType, Int } from '@nestjs/graphql';
import { Long } from '#graphql';
import { CommandInput } from '#identity/api';
import { FailureDomain, RedundancyMethod } from '#infrastructure';

/** What a policy may ask for, in the inputs that make one and change one. */
@InputType({ isAbstract: true })
abstract class StorageNeedsInput extends CommandInput {
  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly description?: string | null;

  @Field(() => Int, { nullable: true, description: 'How many failures at once its disks shall survive, 0 to 3.' })
  readonly failuresToTolerate?: number | null;

  @Field(() => FailureDomain, { nullable: true, description: 'Failures of what: with failures to tolerate, and only then.' })
  readonly failureDomain?: FailureDomain | null;

  @Field(() => RedundancyMethod, { nullable: true, description: 'By which means; null for any.' })
  readonly redundancyMethod?: RedundancyMethod | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether they must be encrypted at rest.' })
  readonly needsEncryption?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether several hosts must reach them.' })
  readonly needsSharedAccess?: boolean | null;

  @Field(() => [String], { nullable: true, description: 'The kinds of datastores that will do, in the operator’s words; empty for any.' })
  readonly datastoreKinds?: string[] | null;

  @Field(() => Int, { nullable: true, description: 'Reads and writes of one disk a second; null for no limit.' })
  readonly iopsLimit?: number | null;
}

@InputType({ description: 'An amount of a quota key for each GiB.' })
export class StoragePolicyCostInput {
  @Field(() => String, { description: 'The quota key, as `gold.capacity`; none that follows from the size.' })
  readonly key!: string;

  @Field(() => Int, { description: 'How much of it each GiB takes, from 1 on.' })
  readonly amountPerGib!: number;
}

@InputType({ description: 'A new storage policy. What is not given does not matter to it.' })
export class CreateStoragePolicyInput extends StorageNeedsInput {
  @Field(() => String, { description: 'Unique.' })
  readonly name!: string;

  @Field(() => [StoragePolicyCostInput], {
    nullable: true,
    description: 'What each GiB takes of the quota besides `disk.capacity`: limits on those keys say who may have how much of it.',
  })
  readonly costs?: StoragePolicyCostInput[] | null;
}

@InputType({ description: 'What to change of a storage policy; what is not given stays.' })
export class UpdateStoragePolicyInput extends StorageNeedsInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether disks shall have it that name none; another one that was it is it no more.' })
  readonly isDefault?: boolean | null;
}

@InputType({ description: 'Which storage policy to withdraw.' })
export class DeleteStoragePolicyInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}
