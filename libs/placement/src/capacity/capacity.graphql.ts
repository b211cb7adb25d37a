import { Field, Int, ObjectType, ResolveField, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, loader, Long, type GraphqlContext } from '#graphql';
import { Datastore, Host, seesInfrastructure, Zone } from '#infrastructure/api';
import { findDatastoreCapacities, findHostCapacities, findZoneCapacities } from './capacity.sql.js';

@ObjectType({ description: 'What a host can hold, and what of it is claimed.' })
export class HostCapacity {
  @Field(() => Long, { description: 'Virtual processors that it may promise.' })
  readonly cpuLimit!: number;

  @Field(() => Long, { description: 'Virtual processors that it has promised.' })
  readonly cpuClaimed!: number;

  @Field(() => Long, { description: 'Memory in MiB that it may promise.' })
  readonly memoryLimitMib!: number;

  @Field(() => Long, { description: 'Memory in MiB that it has promised.' })
  readonly memoryClaimedMib!: number;

  @Field(() => Int, { description: 'Machines that have their place here or are on their way to it.' })
  readonly machines!: number;
}

@ObjectType({ description: 'What a datastore can hold, and what of it is claimed.' })
export class DatastoreCapacity {
  @Field(() => Long, { description: 'GiB that it may promise.' })
  readonly limitGib!: number;

  @Field(() => Long, { description: 'GiB that it has promised.' })
  readonly claimedGib!: number;

  @Field(() => Int, { description: 'Disks that have their place here.' })
  readonly disks!: number;
}

@ObjectType({ description: 'What the active hosts of a zone can hold, and what of it is claimed.' })
export class ZoneCapacity {
  @Field(() => Int, { description: 'Hosts in any state.' })
  readonly hosts!: number;

  @Field(() => Int, { description: 'Hosts that get new machines.' })
  readonly activeHosts!: number;

  @Field(() => Long, { description: 'Virtual processors that they may promise.' })
  readonly cpuLimit!: number;

  @Field(() => Long, { description: 'Virtual processors that they have promised.' })
  readonly cpuClaimed!: number;

  @Field(() => Long, { description: 'Memory in MiB that they may promise.' })
  readonly memoryLimitMib!: number;

  @Field(() => Long, { description: 'Memory in MiB that they have promised.' })
  readonly memoryClaimedMib!: number;
}

// The fields' parameters are undecorated: they are called once a row of a list.
@Authenticated()
@Resolver(() => Host)
export class HostCapacityResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('capacity', () => HostCapacity, { nullable: true, description: 'What it can hold, and what of it is claimed.' })
  async capacity(host: Host, _args: unknown, context: GraphqlContext): Promise<HostCapacity | null> {
    const load = loader<string, HostCapacity>(context, 'placement.host_capacity', async (ids) => {
      const rows = await this.database.rows(findHostCapacities, [...ids]);
      return new Map(
        rows.map((row) => [
          row.host_id,
          {
            cpuLimit: row.cpu_limit,
            cpuClaimed: row.cpu_claimed,
            memoryLimitMib: row.memory_limit_mib,
            memoryClaimedMib: row.memory_claimed_mib,
            machines: row.claims,
          },
        ]),
      );
    });
    return (await load.load(host.id)) ?? null;
  }
}

@Authenticated()
@Resolver(() => Datastore)
export class DatastoreCapacityResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('capacity', () => DatastoreCapacity, { nullable: true, description: 'What it can hold, and what of it is claimed.' })
  async capacity(datastore: Datastore, _args: unknown, context: GraphqlContext): Promise<DatastoreCapacity | null> {
    const load = loader<string, DatastoreCapacity>(context, 'placement.datastore_capacity', async (ids) => {
      const rows = await this.database.rows(findDatastoreCapacities, [...ids]);
      return new Map(rows.map((row) => [row.datastore_id, { limitGib: row.limit_gib, claimedGib: row.claimed_gib, disks: row.claims }]));
    });
    return (await load.load(datastore.id)) ?? null;
  }
}

@Authenticated()
@Resolver(() => Zone)
export class ZoneCapacityResolver {
  constructor(private readonly database: Database) {}

  @ResolveField('capacity', () => ZoneCapacity, {
    nullable: true,
    description: 'For operators: what its active hosts can hold, and what of it is claimed; null for others.',
  })
  async capacity(zone: Zone, _args: unknown, context: GraphqlContext): Promise<ZoneCapacity | null> {
    if (!seesInfrastructure(context)) return null;
    const load = loader<string, ZoneCapacity>(context, 'placement.zone_capacity', async (ids) => {
      const rows = await this.database.rows(findZoneCapacities, [...ids]);
      return new Map(
        rows.map((row) => [
          row.zone_id,
          {
            hosts: row.hosts,
            activeHosts: row.active_hosts,
            cpuLimit: row.cpu_limit,
            cpuClaimed: row.cpu_claimed,
            memoryLimitMib: row.memory_limit_mib,
            memoryClaimedMib: row.memory_claimed_mib,
          },
        ]),
      );
    });
    return (await load.load(zone.id)) ?? { hosts: 0, activeHosts: 0, cpuLimit: 0, cpuClaimed: 0, memoryLimitMib: 0, memoryClaimedMib: 0 };
  }
}
