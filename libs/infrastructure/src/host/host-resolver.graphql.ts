import { Args, ArgsType, Context, Field, ID, Info, Mutation, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { listSource, readConnection } from '#events/api';
import { Authenticated, loader, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, toPayload } from '#identity/api';
import { loadCurrentOperation, Operation, toOperationPayload } from '#operations/api';
import { Backend, loadBackend } from '../backend/backend.graphql.js';
import { Health } from '../backend/backend.js';
import { withGuarantees } from '../datastore/guarantees.graphql.js';
import { commandOf, given, onlyOperators } from '../infrastructure.graphql.js';
import { loadRack, Rack } from '../rack/rack.graphql.js';
import { loadZone, Zone } from '../zone/zone.graphql.js';
import {
  AttestHostOffInput,
  EnterMaintenanceInput,
  EnterMaintenancePayload,
  HostPayload,
  HostTargetInput,
  RegisterHostsInput,
  RegisterHostsPayload,
  SuspendHostInput,
  UpdateHostInput,
} from './host-inputs.graphql.js';
import { HostMaintenanceService } from './host-maintenance.js';
import { HostRegistration, type RegisterHostsInput as RegisterHosts } from './host-registration.js';
import { Host, HostConnection, HostLoad, loadHost, loadHosts, toHost } from './host.graphql.js';
import { HostService, type UpdateHostInput as UpdateHost } from './host.service.js';
import { findHostLoads, hosts } from './host.sql.js';

@ArgsType()
class HostsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this zone.' })
  readonly zoneId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this rack.' })
  readonly rackId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this backend.' })
  readonly backendId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;

  @Field(() => Health, { nullable: true, description: 'Only those of this health.' })
  readonly health?: Health | null;
}

@Authenticated()
@Resolver(() => Host)
export class HostResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: HostService,
    private readonly registration: HostRegistration,
    private readonly maintenance: HostMaintenanceService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'hst', typeName: 'Host', load: (ids, context) => loadHosts(database, context, ids) });
  }

  @Query(() => Host, { description: 'For operators: one host.' })
  async host(@Args('id', { type: () => ID, description: 'Its id.' }) id: string, @Context() context: GraphqlContext): Promise<Host> {
    const found = await loadHost(this.database, context, id);
    if (found === null) throw notFound('host', id, 'id');
    return found;
  }

  @Query(() => HostConnection, { description: 'For operators: hosts, by name. Empty for others.' })
  hosts(@Args() args: HostsArguments, @Context() context: GraphqlContext, @Info() info: GraphQLResolveInfo): Promise<Connection<Host>> {
    const { zoneId = null, rackId = null, backendId = null, name = null, health = null } = args;
    const source = listSource(hosts, this.database, [zoneId, rackId, backendId, name, health], 'NAME');
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, onlyOperators(context, source), toHost);
  }

  // Undecorated parameters, here and below: called once a row of a list.
  @ResolveField('zone', () => Zone, { nullable: true, description: 'The zone that it stands in.' })
  zone(host: Host, _args: unknown, context: GraphqlContext): Promise<Zone | null> {
    return loadZone(this.database, context, host.zoneId);
  }

  @ResolveField('rack', () => Rack, { nullable: true, description: 'The rack that it stands in, if any.' })
  rack(host: Host, _args: unknown, context: GraphqlContext): Promise<Rack | null> {
    return loadRack(this.database, context, host.rackId);
  }

  @ResolveField('backend', () => Backend, { nullable: true, description: 'The backend that runs it.' })
  backend(host: Host, _args: unknown, context: GraphqlContext): Promise<Backend | null> {
    return loadBackend(this.database, context, host.backendId);
  }

  @ResolveField('load', () => HostLoad, { nullable: true, description: 'What it was seen to do last; null before the first look.' })
  async load(host: Host, _args: unknown, context: GraphqlContext): Promise<HostLoad | null> {
    const load = loader<string, HostLoad>(context, 'infrastructure.host_load', async (ids) => {
      const rows = await this.database.rows(findHostLoads, [...ids]);
      return new Map(
        rows.map((row) => [
          row.host_id,
          { cpuPercent: row.cpu_percent, memoryUsedMib: row.memory_used_mib, lastSeenAt: row.last_seen_at, observedAt: row.observed_at },
        ]),
      );
    });
    return (await load.load(host.id)) ?? null;
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now, if any.' })
  currentOperation(host: Host, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, host.id);
  }

  @Mutation(() => RegisterHostsPayload, { description: 'For operators: takes hosts of a backend into service, with the pools that they bring.' })
  async registerHosts(
    @Args('input', { type: () => RegisterHostsInput, description: 'Which.' }) input: RegisterHostsInput,
    @Context() context: GraphqlContext,
  ): Promise<RegisterHostsPayload> {
    const { command, options } = commandOf(input, context);
    const { hosts: named, ...rest } = withGuarantees(command, 'localGuarantees');
    const wanted = { ...rest, ...(named === undefined ? {} : { hosts: named.map((host) => given(host)) }) };
    const outcome = await this.registration.register(accessOf(context), wanted as RegisterHosts, options);
    const { hosts: count, hostIds } = outcome.result;
    const found = await loadHosts(this.database, context, Array.isArray(hostIds) ? hostIds.map(String) : []);
    return { ...toPayload(outcome), count: typeof count === 'number' ? count : null, hosts: [...found.values()] };
  }

  @Mutation(() => HostPayload, { description: 'For operators: changes a host’s rack, labels or overcommit ratios.' })
  async updateHost(
    @Args('input', { type: () => UpdateHostInput, description: 'What to change.' }) input: UpdateHostInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context, ['rackId']);
    return this.payload(context, await this.service.update(accessOf(context), command as UpdateHost, options), input.id);
  }

  @Mutation(() => HostPayload, { description: 'For operators: the host keeps its machines and gets no new ones.' })
  async suspendHost(
    @Args('input', { type: () => SuspendHostInput, description: 'Which.' }) input: SuspendHostInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(context, await this.service.suspend(accessOf(context), command, options), input.id);
  }

  @Mutation(() => HostPayload, { description: 'For operators: the host gets new machines again.' })
  async resumeHost(
    @Args('input', { type: () => HostTargetInput, description: 'Which.' }) input: HostTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(context, await this.service.resume(accessOf(context), command, options), input.id);
  }

  @Mutation(() => EnterMaintenancePayload, { description: 'For operators: empties a host, or lists what cannot be moved away.' })
  async enterMaintenance(
    @Args('input', { type: () => EnterMaintenanceInput, description: 'Which.' }) input: EnterMaintenanceInput,
    @Context() context: GraphqlContext,
  ): Promise<EnterMaintenancePayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.maintenance.enter(accessOf(context), command, options);
    return { ...(await toOperationPayload(this.database, context, outcome)), host: await loadHost(this.database, context, input.id) };
  }

  @Mutation(() => HostPayload, { description: 'For operators: takes an emptied host back into service.' })
  async exitMaintenance(
    @Args('input', { type: () => HostTargetInput, description: 'Which.' }) input: HostTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(context, await this.maintenance.exit(accessOf(context), command, options), input.id);
  }

  @Mutation(() => HostPayload, {
    description: 'For operators: vouches that a silent host is off, so that its machines may be started elsewhere. A wrong word loses data.',
  })
  async attestHostOff(
    @Args('input', { type: () => AttestHostOffInput, description: 'Which, and how that is known.' }) input: AttestHostOffInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(context, await this.service.attestOff(accessOf(context), command, options), input.id);
  }

  @Mutation(() => HostPayload, { description: 'For operators: takes an empty host out of service for good, with its own datastores.' })
  async deregisterHost(
    @Args('input', { type: () => HostTargetInput, description: 'Which.' }) input: HostTargetInput,
    @Context() context: GraphqlContext,
  ): Promise<HostPayload> {
    const { command, options } = commandOf(input, context);
    return this.payload(context, await this.service.deregister(accessOf(context), command, options), input.id);
  }

  private async payload(context: GraphqlContext, outcome: CommandResult, id: string): Promise<HostPayload> {
    return { ...toPayload(outcome), host: await loadHost(this.database, context, id) };
  }
}
