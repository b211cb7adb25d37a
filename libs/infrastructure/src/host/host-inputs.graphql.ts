import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Long } from '#graphql';
import { CommandPayload } from '#identity/api';
import { OperationPayload } from '#operations/api';
import { DatastoreGuaranteesInput } from '../datastore/guarantees.graphql.js';
import { WhenBlocked } from './host-maintenance.js';
import { Host } from './host.graphql.js';

registerEnumType(WhenBlocked, {
  name: 'WhenBlocked',
  description: 'What happens when something on a host cannot be moved away.',
  valuesMap: {
    REFUSE: { description: 'Nothing is done, and what blocks it is listed.' },
    WAIT: { description: 'The rest is moved, and the operation waits until the others have left.' },
  },
});

@InputType({ description: 'One host to register.' })
export class NewHostInput {
  @Field(() => String, { description: 'What its backend calls it.' })
  readonly name!: string;

  @Field(() => ID, { nullable: true, description: 'Its rack, if not the one given for all.' })
  readonly rackId?: string | null;

  @Field(() => [String], { nullable: true, description: 'Its labels, instead of those given for all.' })
  readonly labels?: string[] | null;
}

@InputType({ description: 'Which hosts of a backend to take into service.' })
export class RegisterHostsInput {
  @Field(() => ID, { description: 'Their backend.' })
  readonly backendId!: string;

  @Field(() => ID, { description: 'Their zone, by id or name.' })
  readonly zoneId!: string;

  @Field(() => ID, { nullable: true, description: 'Their rack, unless they name one of their own.' })
  readonly rackId?: string | null;

  @Field(() => [NewHostInput], { nullable: true, description: 'Which; every host of the backend that is not registered yet, if not given.' })
  readonly hosts?: NewHostInput[] | null;

  @Field(() => String, { nullable: true, description: 'Without `hosts`: only those whose names begin so.' })
  readonly namePrefix?: string | null;

  @Field(() => [String], { nullable: true, description: 'What operators add to their traits.' })
  readonly labels?: string[] | null;

  @Field(() => Float, { nullable: true, description: 'Virtual processors promised per real one, 0.1 to 100; 16 if not given.' })
  readonly cpuOvercommit?: number | null;

  @Field(() => Float, { nullable: true, description: 'Memory promised per real one, 0.1 to 10; 1 if not given.' })
  readonly memoryOvercommit?: number | null;

  @Field(() => String, { nullable: true, description: 'The kind of the datastores that their pools become; `standard` if not given.' })
  readonly datastoreKind?: string | null;

  @Field(() => DatastoreGuaranteesInput, {
    nullable: true,
    description: 'What the hosts’ own pools survive: disks at most, as they go with their host. Of shared ones say it with `updateDatastore`.',
  })
  readonly localGuarantees?: DatastoreGuaranteesInput | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'What to change of a host; what is not given stays.' })
export class UpdateHostInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => ID, { nullable: true, description: 'Its rack; null: it stands in none.' })
  readonly rackId?: string | null;

  @Field(() => [String], { nullable: true, description: 'What operators add to its traits; replaces all labels.' })
  readonly labels?: string[] | null;

  @Field(() => Float, { nullable: true, description: 'Virtual processors promised per real one, 0.1 to 100.' })
  readonly cpuOvercommit?: number | null;

  @Field(() => Float, { nullable: true, description: 'Memory promised per real one, 0.1 to 10.' })
  readonly memoryOvercommit?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which host.' })
export class HostTargetInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

@InputType({ description: 'Which host to suspend, and why.' })
export class SuspendHostInput extends HostTargetInput {
  @Field(() => String, { nullable: true, description: 'Why; shown with the host.' })
  readonly reason?: string | null;
}

@InputType({ description: 'Which host to empty.' })
export class EnterMaintenanceInput extends HostTargetInput {
  @Field(() => String, { nullable: true, description: 'Why; shown with the host.' })
  readonly reason?: string | null;

  @Field(() => WhenBlocked, { nullable: true, description: 'What happens when something cannot be moved away; REFUSE if not given.' })
  readonly whenBlocked?: WhenBlocked | null;
}

@InputType({ description: 'An operator’s word that a silent host is off.' })
export class AttestHostOffInput extends HostTargetInput {
  @Field(() => String, { description: 'How that is known; kept with the host and in the audit log.' })
  readonly reason!: string;
}

@ObjectType({ description: 'The hosts that were registered.' })
export class RegisterHostsPayload extends CommandPayload {
  @Field(() => Int, { nullable: true, description: 'How many; null of a dry run.' })
  readonly count!: number | null;

  @Field(() => [Host], { description: 'The first hundred of them.' })
  readonly hosts!: Host[];
}

@ObjectType({ description: 'The host that was changed or deregistered.' })
export class HostPayload extends CommandPayload {
  @Field(() => Host, { nullable: true, description: 'It as it is now; null when it is gone.' })
  readonly host!: Host | null;
}

@ObjectType({ description: 'The host that is being emptied.' })
export class EnterMaintenancePayload extends OperationPayload {
  @Field(() => Host, { nullable: true, description: 'It as it is now.' })
  readonly host!: Host | null;
}
