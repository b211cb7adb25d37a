import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { JsonObject } from '#core';
import type { Reader } from '#database';
import { PowerState } from '#drivers';
import { DateTime, JsonObjectScalar, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf, Problem, toProblem } from '#identity/api';
import { machineConditions, MachineRecovery, machineState, MachineState, Power, type Condition, type VirtualMachineRow } from './virtual-machine.js';
import { findVisibleVirtualMachines } from './virtual-machine.sql.js';

registerEnumType(MachineState, {
  name: 'VirtualMachineState',
  description: 'What a virtual machine is, of what is wanted and what is seen.',
  valuesMap: {
    CREATING: { description: 'Admitted; an operation is making it.' },
    RUNNING: { description: 'It runs, as desired.' },
    STARTING: { description: 'It shall run and does not yet.' },
    STOPPED: { description: 'It is off, as desired.' },
    STOPPING: { description: 'It shall be off and is not yet.' },
    SUSPENDED: { description: 'It is frozen in memory, as desired.' },
    SUSPENDING: { description: 'It shall be frozen and is not yet.' },
    UNKNOWN: { description: 'Its host does not answer: it may run or not.' },
    DELETING: { description: 'An operation is taking it away.' },
    FAILED: { description: 'It could not be made, and holds neither infrastructure nor quota. Retry its operation, or delete it.' },
  },
});
registerEnumType(Power, {
  name: 'Power',
  description: 'What a machine\'s power shall be.',
  valuesMap: {
    RUNNING: { description: 'On.' },
    STOPPED: { description: 'Off.' },
    SUSPENDED: { description: 'Frozen in memory.' },
  },
});
registerEnumType(PowerState, {
  name: 'PowerState',
  description: 'What a machine\'s power was last seen to be.',
  valuesMap: {
    RUNNING: { description: 'On.' },
    STOPPED: { description: 'Off.' },
    SUSPENDED: { description: 'Frozen in memory.' },
    UNKNOWN: { description: 'Nobody can tell: its host does not answer.' },
  },
});

registerEnumType(MachineRecovery, {
  name: 'VirtualMachineRecovery',
  description: 'What becomes of a machine when its host is lost.',
  valuesMap: {
    NONE: { description: 'It waits for its host, and is started again when that returns, with all that was on its disks.' },
    RECREATE: {
      description:
        'Loses data: once its host is proven to be off, it is made anew on another host of its zone. It keeps its id, name, ports and ' +
        'addresses; its root disk is made of its image again, under another id, and everything that was on it is gone for good, also ' +
        'when the host returns later. Only machines that shall run, and that have no disk beside their root disk.',
    },
  },
});

export const MachineConditionType = { READY: 'READY', HOST_REACHABLE: 'HOST_REACHABLE', IN_PLACE: 'IN_PLACE', RECOVERY: 'RECOVERY' } as const;
registerEnumType(MachineConditionType, {
  name: 'VirtualMachineConditionType',
  description: 'What a condition speaks of.',
  valuesMap: {
    READY: { description: 'Whether it is as it shall be.' },
    HOST_REACHABLE: { description: 'Whether its host answers.' },
    IN_PLACE: { description: 'Whether its backend has it, where it was placed.' },
    RECOVERY: { description: 'Only where its recovery is RECREATE: whether it can be made anew elsewhere when its host is lost, or what keeps it from that.' },
  },
});
export const MachineConditionStatus = { TRUE: 'TRUE', FALSE: 'FALSE', UNKNOWN: 'UNKNOWN' } as const;
registerEnumType(MachineConditionStatus, {
  name: 'VirtualMachineConditionStatus',
  description: 'Whether a condition holds.',
  valuesMap: {
    TRUE: { description: 'It holds.' },
    FALSE: { description: 'It does not.' },
    UNKNOWN: { description: 'Nobody can tell.' },
  },
});

@ObjectType('VirtualMachineCondition', { description: 'One thing that is or is not right with a machine, and why.' })
export class MachineCondition {
  @Field(() => MachineConditionType, { description: 'What it speaks of.' })
  readonly type!: Condition['type'];

  @Field(() => MachineConditionStatus, { description: 'Whether it holds.' })
  readonly status!: Condition['status'];

  @Field(() => String, { description: 'The reason from a closed list, as `HOST_SILENT`.' })
  readonly reason!: string;

  @Field(() => String, { description: 'The reason, for people.' })
  readonly message!: string;

  @Field(() => DateTime, { nullable: true, description: 'Since when; null before it was first looked at.' })
  readonly since!: Date | null;
}

@ObjectType({ implements: () => [Node], description: 'A virtual machine.' })
export class VirtualMachine extends Node {
  @Field(() => String, { description: 'Unique in its project; also the guest\'s host name.' })
  readonly name!: string;

  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'Its project.' })
  readonly projectId!: string;

  @Field(() => ID, { nullable: true, description: 'The cluster that it is a node of; such a machine is changed through its cluster.' })
  readonly ownerId!: string | null;

  @Field(() => MachineState, { description: 'What it is.' })
  readonly state!: MachineState;

  @Field(() => [MachineCondition], { description: 'What is or is not right with it, and why.' })
  readonly conditions!: MachineCondition[];

  @Field(() => Problem, { nullable: true, description: 'Why it could not be made.' })
  readonly failure!: Problem | null;

  @Field(() => Power, { description: 'What its power shall be.' })
  readonly desiredPower!: Power;

  @Field(() => PowerState, { description: 'What its power was last seen to be.' })
  readonly observedPower!: PowerState;

  @Field(() => DateTime, { nullable: true, description: 'When that was seen to change.' })
  readonly observedAt!: Date | null;

  @Field(() => MachineRecovery, { description: 'What becomes of it when its host is lost.' })
  readonly recovery!: MachineRecovery;

  @Field(() => Int, { description: 'Virtual processors.' })
  readonly cpu!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  readonly memoryMib!: number;

  @Field(() => ID, { description: 'The availability zone that it is in.' })
  readonly zoneId!: string;

  @Field(() => ID, { nullable: true, description: 'The host that it is on; for operators only, null for others.' })
  readonly hostId!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'What its backend calls it, its id unless it was made anew after its host was lost; for operators only, null for others.',
  })
  readonly instanceId!: string | null;

  @Field(() => JsonObjectScalar, { description: 'Texts by name that somebody has put on it.' })
  readonly metadata!: JsonObject;

  @Field(() => Long, { description: 'Rises with every change of what is wanted; give it back as `expectedVersion`.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => DateTime, { description: 'When it last changed.' })
  readonly updatedAt!: Date;

  /** For field resolvers. */
  readonly row!: VirtualMachineRow;
}

/** @param showsHost whether the caller may know hosts */
export function toVirtualMachine(row: VirtualMachineRow, showsHost: boolean): VirtualMachine {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    ownerId: row.owner_id,
    state: machineState(row),
    conditions: machineConditions(row),
    failure: row.failure === null ? null : toProblem(row.failure),
    desiredPower: row.desired_power,
    observedPower: row.observed_power,
    observedAt: row.observed_at,
    recovery: row.recovery,
    cpu: row.cpu,
    memoryMib: row.memory_mib,
    zoneId: row.zone_id,
    hostId: showsHost ? row.host_id : null,
    instanceId: showsHost ? row.instance_id : null,
    metadata: row.metadata,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    row,
  };
}

/** Of these machines, those that the caller may see. */
export async function loadVirtualMachines(
  reader: Reader,
  context: GraphqlContext,
  ids: readonly string[],
): Promise<Map<string, VirtualMachine>> {
  const access = accessOf(context);
  const rows = await reader.rows(findVisibleVirtualMachines, ...access.filter('virtual machine'), [...ids]);
  return new Map(rows.map((row) => [row.id, toVirtualMachine(row, access.seesInfrastructure)]));
}

/** One machine, looked up together with all others that the request asks for; null when the caller may not see it. */
export async function loadVirtualMachine(reader: Reader, context: GraphqlContext, id: unknown): Promise<VirtualMachine | null> {
  if (typeof id !== 'string') return null;
  const load = loader<string, VirtualMachine>(context, 'compute.virtual_machine', (ids) => loadVirtualMachines(reader, context, ids));
  return (await load.load(id)) ?? null;
}
