import { Args, ArgsType, Context, Field, ID, Info, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { Action } from '#identity';
import { accessOf } from '#identity/api';
import { loadPortsOf, Port } from '#network/api';
import { BlockerType, loadBlockers, loadCurrentOperation, Operation } from '#operations/api';
import { Disk, loadDisksOf } from '#storage/api';
import { AffinityGroup, loadAffinityGroup } from '../affinity-group/affinity-group.graphql.js';
import { Flavor, loadFlavor } from '../flavor/flavor.graphql.js';
import { Image, loadImage } from '../image/image.graphql.js';
import { loadVirtualMachine, loadVirtualMachines, toVirtualMachine, VirtualMachine } from './virtual-machine.graphql.js';
import { MachineState, rowsInStates } from './virtual-machine.js';
import { findVirtualMachineByName, virtualMachines } from './virtual-machine.sql.js';

const MachineOrder = { CREATED: 'CREATED', NEWEST: 'NEWEST', NAME: 'NAME' } as const;
type MachineOrder = (typeof MachineOrder)[keyof typeof MachineOrder];
registerEnumType(MachineOrder, {
  name: 'VirtualMachineOrder',
  description: 'The order of a list of virtual machines.',
  valuesMap: {
    CREATED: { description: 'What was made first comes first.' },
    NEWEST: { description: 'What was made last comes first.' },
    NAME: { description: 'By name.' },
  },
});

const VirtualMachineConnection = connectionOf(VirtualMachine);

@ArgsType()
class VirtualMachineArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => ID, { nullable: true, description: 'Instead of the id, and with the name: its project.' })
  readonly projectId?: string | null;

  @Field(() => String, { nullable: true, description: 'Instead of the id, and with the project: its name.' })
  readonly name?: string | null;
}

@ArgsType()
class VirtualMachinesArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only the nodes of this cluster.' })
  readonly ownerId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those on this host; for operators.' })
  readonly hostId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => [MachineState], { nullable: true, description: 'Only those in one of these states.' })
  readonly states?: MachineState[] | null;

  @Field(() => MachineOrder, { nullable: true, description: 'CREATED if not given.' })
  readonly order?: MachineOrder | null;
}

@Authenticated()
@Resolver(() => VirtualMachine)
export class VirtualMachineResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'vm', typeName: 'VirtualMachine', load: (ids, context) => loadVirtualMachines(database, context, ids) });
  }

  @Query(() => VirtualMachine, { description: 'One virtual machine, by id, or by project and name.' })
  async virtualMachine(
    @Args() { id, projectId, name }: VirtualMachineArguments,
    @Context() context: GraphqlContext,
  ): Promise<VirtualMachine> {
    const byName = projectId != null && name != null;
    if (byName === (id != null)) throw invalidInput('id', 'Give either the id, or the project and the name.');
    const [row] = byName ? await this.database.rows(findVirtualMachineByName, projectId, name) : [];
    const found = await loadVirtualMachine(this.database, context, byName ? row?.id : id);
    if (found === null) throw notFound('virtual machine', String(byName ? name : id), byName ? 'name' : 'id');
    return found;
  }

  @Query(() => VirtualMachineConnection, { description: 'Virtual machines that the caller may see.' })
  virtualMachines(
    @Args() args: VirtualMachinesArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<VirtualMachine>> {
    const access = accessOf(context);
    const { projectId, tenantId, ownerId, hostId, name, states } = args;
    if (hostId != null) access.requireSystem(Action.LIST_CHILDREN, 'host');
    const parameters: Parameters<typeof virtualMachines.count>[1] = [
      ...access.filter('virtual machine'),
      projectId ?? null,
      tenantId ?? null,
      ownerId ?? null,
      hostId ?? null,
      name ?? null,
      states == null ? null : rowsInStates(states),
    ];
    const source = listSource(virtualMachines, this.database, parameters, args.order ?? 'CREATED');
    const showsHost = access.seesInfrastructure;
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, (row) => toVirtualMachine(row, showsHost));
  }

  // No parameter decorators below: all of these are called once a row of a list.
  @ResolveField('flavor', () => Flavor, { nullable: true, description: 'Its size.' })
  flavor(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<Flavor | null> {
    return loadFlavor(this.database, context, machine.row.flavor_id);
  }

  @ResolveField('image', () => Image, { nullable: true, description: 'What its root disk was made from.' })
  image(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<Image | null> {
    return loadImage(this.database, context, machine.row.image_id);
  }

  @ResolveField('affinityGroup', () => AffinityGroup, { nullable: true, description: 'The group whose rule it keeps to.' })
  affinityGroup(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<AffinityGroup | null> {
    return loadAffinityGroup(this.database, context, machine.row.affinity_group_id);
  }

  @ResolveField('ports', () => [Port], { description: 'Its places in networks.' })
  ports(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<Port[]> {
    return loadPortsOf(this.database, context, machine.id);
  }

  @ResolveField('addresses', () => [String], { description: 'Its IP addresses, of all its ports.' })
  async addresses(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<string[]> {
    return (await loadPortsOf(this.database, context, machine.id)).map((port) => port.address);
  }

  @ResolveField('disks', () => [Disk], { description: 'Its disks, the root disk first.' })
  disks(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<Disk[]> {
    return loadDisksOf(this.database, context, machine.id);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now.' })
  currentOperation(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, machine.id);
  }

  @ResolveField('blockers', () => [BlockerType], {
    description: 'What its current operation waits for, walked down to the root causes; empty when nothing holds it up.',
  })
  async blockers(machine: VirtualMachine, _args: unknown, context: GraphqlContext): Promise<BlockerType[]> {
    const current = await loadCurrentOperation(this.database, context, machine.id);
    return current === null ? [] : loadBlockers(this.database, context, current.id);
  }
}
