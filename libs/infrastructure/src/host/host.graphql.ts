import { Field, Float, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { Reader } from '#database';
import { connectionOf, DateTime, loader, Long, Node, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE } from '#identity';
import { seesInfrastructure } from '../infrastructure.graphql.js';
import { FenceState, hostConditions, HostConditionType, HostIntent, hostState, HostState, type HostRow } from './host.js';
import { findHosts } from './host.sql.js';

registerEnumType(HostState, {
  name: 'HostState',
  description: 'How a host is. Only ACTIVE ones get new machines.',
  valuesMap: {
    ACTIVE: { description: 'In service.' },
    SUSPENDED: { description: 'By an operator: it keeps its machines and gets no new ones.' },
    ENTERING_MAINTENANCE: { description: 'Its machines are being moved away.' },
    IN_MAINTENANCE: { description: 'Empty: whatever is done to it harms nobody.' },
    UNKNOWN: { description: 'Its backend does not answer, so nobody can tell.' },
    DOWN: { description: 'Silent for longer than the threshold; whether its machines run is not known.' },
    FENCED: { description: 'Down and proven to be off: its machines may be started elsewhere.' },
  },
});
registerEnumType(HostIntent, {
  name: 'HostIntent',
  description: 'What operators want of a host.',
  valuesMap: {
    ENABLED: { description: 'It shall serve.' },
    SUSPENDED: { description: 'It shall get no new machines.' },
    MAINTENANCE: { description: 'It shall be empty.' },
  },
});
registerEnumType(FenceState, {
  name: 'FenceState',
  description: 'Whether a silent host is known to be off.',
  valuesMap: {
    NONE: { description: 'It answers, or nobody has asked yet.' },
    UNKNOWN: { description: 'Nobody can tell: it may be cut off and run on.' },
    PROVEN_OFF: { description: 'It is off, by its backend’s proof or an operator’s word.' },
  },
});
registerEnumType(HostConditionType, {
  name: 'HostConditionType',
  description: 'What a condition of a host speaks of.',
  valuesMap: {
    ANSWERING: { description: 'Its backend says that it lives.' },
    SCHEDULABLE: { description: 'It gets new machines.' },
    PROVEN_OFF: { description: 'It is proven to be off, so that its machines may be started elsewhere.' },
    NETWORK_CURRENT: { description: 'It has taken over what its network was told while it was away.' },
  },
});

const ConditionStatus = { TRUE: 'TRUE', FALSE: 'FALSE', UNKNOWN: 'UNKNOWN' } as const;
type ConditionStatus = (typeof ConditionStatus)[keyof typeof ConditionStatus];
registerEnumType(ConditionStatus, {
  name: 'HostConditionStatus',
  description: 'Whether a condition holds.',
  valuesMap: {
    TRUE: { description: 'It does.' },
    FALSE: { description: 'It does not.' },
    UNKNOWN: { description: 'Nobody can tell now.' },
  },
});

@ObjectType('HostCondition', { description: 'Something to be said of a host, with its reason.' })
export class HostConditionObject {
  @Field(() => HostConditionType, { description: 'What it speaks of.' })
  readonly type!: HostConditionType;

  @Field(() => ConditionStatus, { description: 'Whether it holds.' })
  readonly status!: ConditionStatus;

  @Field(() => String, { nullable: true, description: 'Why, for people; null when it speaks for itself.' })
  readonly reason!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Since when it is known to be so.' })
  readonly since!: Date | null;
}

@ObjectType({ description: 'What a host was seen to do last. It changes without raising the host’s revision.' })
export class HostLoad {
  @Field(() => Float, { nullable: true, description: 'Percent of its processors in use, 0 to 100.' })
  readonly cpuPercent!: number | null;

  @Field(() => Long, { nullable: true, description: 'Memory in use, in MiB.' })
  readonly memoryUsedMib!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last seen alive.' })
  readonly lastSeenAt!: Date | null;

  @Field(() => DateTime, { description: 'When it was last looked at.' })
  readonly observedAt!: Date;
}

@ObjectType({ implements: () => [Node], description: 'A physical machine that runs virtual ones.' })
export class Host extends Node {
  @Field(() => String, { description: 'What its backend calls it; unique there.' })
  readonly name!: string;

  @Field(() => HostState, { description: 'How it is.' })
  readonly state!: HostState;

  @Field(() => HostIntent, { description: 'What operators want of it.' })
  readonly intent!: HostIntent;

  @Field(() => String, { nullable: true, description: 'Why it is suspended or in maintenance.' })
  readonly intentReason!: string | null;

  @Field(() => [HostConditionObject], { description: 'What is to be said of it beyond its state.' })
  readonly conditions!: HostConditionObject[];

  @Field(() => FenceState, { description: 'Whether it is known to be off.' })
  readonly fence!: FenceState;

  @Field(() => Int, { description: 'Real processors.' })
  readonly cpu!: number;

  @Field(() => Int, { description: 'Real memory in MiB.' })
  readonly memoryMib!: number;

  @Field(() => Float, { description: 'Virtual processors promised per real one.' })
  readonly cpuOvercommit!: number;

  @Field(() => Float, { description: 'Memory promised per real one.' })
  readonly memoryOvercommit!: number;

  @Field(() => [String], { description: 'What its backend reports that it is good for.' })
  readonly traits!: string[];

  @Field(() => [String], { description: 'What operators added to its traits.' })
  readonly labels!: string[];

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was registered.' })
  readonly createdAt!: Date;

  readonly zoneId!: string;
  readonly rackId!: string | null;
  readonly backendId!: string;
}

export function toHost(row: HostRow): Host {
  return {
    id: row.id,
    home: SYSTEM_PLACE,
    name: row.name,
    state: hostState(row),
    intent: row.intent,
    intentReason: row.intent_reason,
    conditions: hostConditions(row),
    fence: row.fence,
    cpu: row.cpu,
    memoryMib: row.memory_mib,
    cpuOvercommit: row.cpu_overcommit,
    memoryOvercommit: row.memory_overcommit,
    traits: row.traits,
    labels: row.labels,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    zoneId: row.zone_id,
    rackId: row.rack_id,
    backendId: row.backend_id,
  };
}

/** Hosts that the caller may see, by id: operators see all, others none. */
export async function loadHosts(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Host>> {
  if (!seesInfrastructure(context)) return new Map();
  return new Map((await reader.rows(findHosts, [...ids])).map((row) => [row.id, toHost(row)]));
}

/** Null for whoever may not see hosts. */
export async function loadHost(reader: Reader, context: GraphqlContext, id: unknown): Promise<Host | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Host>(context, 'infrastructure.host', (ids) => loadHosts(reader, context, ids)).load(id)) ?? null;
}

export const HostConnection = connectionOf(Host);
