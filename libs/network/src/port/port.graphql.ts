import { Args, ArgsType, Context, Field, ID, Info, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database, type Reader } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, connectionOf, DateTime, loader, Long, Node, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf } from '#identity/api';
import { portId, PortState, portState, type PortRow } from './port.js';
import { findPortsOfOwners, findVisiblePorts, ports } from './port.sql.js';

registerEnumType(PortState, {
  name: 'PortState',
  description: 'How a port is.',
  valuesMap: {
    PENDING: { description: 'The backend does not have it yet.' },
    ACTIVE: { description: 'The backend has it as it shall be.' },
    UPDATING: { description: 'The backend has an older version of it.' },
    DELETING: { description: 'It is being taken away.' },
  },
});

const PortOrder = { CREATED: 'CREATED', NAME: 'NAME' } as const;
type PortOrder = (typeof PortOrder)[keyof typeof PortOrder];
registerEnumType(PortOrder, {
  name: 'PortOrder',
  description: 'Orders of a list of ports.',
  valuesMap: { CREATED: { description: 'The oldest first.' }, NAME: { description: 'By name.' } },
});

@ObjectType({ implements: () => [Node], description: 'A machine’s place in a network. It is made and deleted with the machine.' })
export class Port extends Node {
  @Field(() => String, { description: 'As its machine is called.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The network that it is in.' })
  readonly networkId!: string;

  @Field(() => ID, { description: 'The subnet that its address is from.' })
  readonly subnetId!: string;

  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => ID, { description: 'The machine that has it.' })
  readonly ownerId!: string;

  @Field(() => String, { description: 'Its IPv4 address.' })
  readonly address!: string;

  @Field(() => String, { description: 'The address of its network card.' })
  readonly macAddress!: string;

  @Field(() => PortState, { description: 'How it is.' })
  readonly state!: PortState;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;
}

const PortConnection = connectionOf(Port);

export function toPort(row: PortRow): Port {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    networkId: row.network_id,
    subnetId: row.subnet_id,
    projectId: row.project_id,
    ownerId: row.owner_id,
    address: row.address,
    macAddress: row.mac_address,
    state: portState(row),
    createdAt: row.created_at,
    revision: row.revision,
  };
}

/** For `ports` of whatever has ports, looked up together with those of all others that the request asks for. */
export async function loadPortsOf(reader: Reader, context: GraphqlContext, ownerId: string): Promise<Port[]> {
  const load = loader<string, PortRow[]>(context, 'port.ofOwner', async (ids) =>
    Map.groupBy(await reader.rows(findPortsOfOwners, [...ids]), (row) => row.owner_id),
  );
  const access = accessOf(context);
  const rows = (await load.load(ownerId)) ?? [];
  return rows.filter((row) => access.sees('port', { tenantId: row.tenant_id, projectId: row.project_id })).map(toPort);
}

@ArgsType()
class PortsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those in this network.' })
  readonly networkId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those with an address of this subnet.' })
  readonly subnetId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this machine.' })
  readonly ownerId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those in this security group.' })
  readonly securityGroupId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => PortOrder, { nullable: true, description: 'By name if not given.' })
  readonly order?: PortOrder | null;
}

@Authenticated()
@Resolver(() => Port)
export class PortResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: portId.prefix, typeName: 'Port', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => PortConnection, { description: 'The ports that the caller may see.' })
  async ports(
    @Args() args: PortsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Port>> {
    const filter = accessOf(context).filter('port');
    const parameters: Parameters<typeof ports.count>[1] = [
      ...filter,
      args.projectId ?? null,
      args.tenantId ?? null,
      args.networkId ?? null,
      args.subnetId ?? null,
      args.ownerId ?? null,
      args.securityGroupId ?? null,
    ];
    const source = listSource(ports, this.database, parameters, args.order ?? 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toPort);
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Port>> {
    const rows = await this.database.rows(findVisiblePorts, ...accessOf(context).filter('port'), [...ids]);
    return new Map(rows.map((row) => [row.id, toPort(row)]));
  }
}
