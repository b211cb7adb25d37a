import { Field, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { given } from '#identity/api';
import type { DatastoreRow } from './datastore.js';
import { FailureDomain, RedundancyMethod } from './guarantees.js';

registerEnumType(FailureDomain, {
  name: 'FailureDomain',
  description: 'What may fail as one. What survives the wider survives the narrower.',
  valuesMap: {
    DISK: { description: 'A disk of a host.' },
    HOST: { description: 'A host.' },
    RACK: { description: 'A rack with all its hosts.' },
    ZONE: { description: 'An availability zone.' },
  },
});
registerEnumType(RedundancyMethod, {
  name: 'RedundancyMethod',
  description: 'How data survives failures.',
  valuesMap: {
    MIRRORING: { description: 'By whole copies: fast, and the most room.' },
    ERASURE_CODING: { description: 'By parity: less room, and slower to write.' },
  },
});

@ObjectType('DatastoreGuarantees', { description: 'What an operator says that a datastore survives; backends do not tell.' })
export class DatastoreGuaranteesObject {
  @Field(() => Int, { description: 'How many failures at once it survives without loss.' })
  readonly failuresToTolerate!: number;

  @Field(() => FailureDomain, { nullable: true, description: 'Failures of what; null when it survives none.' })
  readonly failureDomain!: FailureDomain | null;

  @Field(() => RedundancyMethod, { nullable: true, description: 'By which means; null when it survives none.' })
  readonly redundancyMethod!: RedundancyMethod | null;

  @Field(() => Boolean, { description: 'Whether what is in it is encrypted at rest.' })
  readonly isEncrypted!: boolean;
}

@InputType({ description: 'What a datastore survives.' })
export class DatastoreGuaranteesInput {
  @Field(() => Int, { nullable: true, description: 'How many failures at once without loss, 0 to 3; 0 if not given.' })
  readonly failuresToTolerate?: number | null;

  @Field(() => FailureDomain, { nullable: true, description: 'Failures of what: with failures to tolerate, and only then.' })
  readonly failureDomain?: FailureDomain | null;

  @Field(() => RedundancyMethod, { nullable: true, description: 'By which means: with failures to tolerate, and only then.' })
  readonly redundancyMethod?: RedundancyMethod | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether what is in it is encrypted at rest; not if not given.' })
  readonly isEncrypted?: boolean | null;
}

export function toGuarantees(row: DatastoreRow): DatastoreGuaranteesObject {
  return {
    failuresToTolerate: row.failures_to_tolerate,
    failureDomain: row.failure_domain,
    redundancyMethod: row.redundancy_method,
    isEncrypted: row.is_encrypted,
  };
}

/** An input with its guarantees as a service takes them: without nulls. */
export function withGuarantees<Command extends object, Name extends keyof Command>(command: Command, name: Name): Command {
  const guarantees = command[name] as object | undefined;
  return guarantees === undefined ? command : { ...command, [name]: given(guarantees) };
}
