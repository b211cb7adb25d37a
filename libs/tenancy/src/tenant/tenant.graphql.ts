import { Args, ArgsType, Context, Field, ID, Info, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, loader, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf, toPayload } from '#identity/api';
import { loadCurrentOperation, Operation, toOperationPayload } from '#operations/api';
import { loadQuota, QuotaType } from '#quota/api';
import { ScopeState } from '#scopes';
import { projects } from '../project/project.sql.js';
import {
  loadProject,
  loadTenant,
  loadTenants,
  Project,
  ProjectConnection,
  ProjectOrder,
  Tenant,
  TenantConnection,
  TenantOrder,
  TenantOwner,
  toProject,
  toTenant,
  UsableZone,
} from '../tenancy-types.graphql.js';
import { commandOf, type Target } from '../command-input.graphql.js';
import { usableZonesOf } from '../zone-grant/zone-grant.js';
import {
  OffboardTenantInput,
  OffboardTenantPayload,
  OnboardTenantInput,
  OnboardTenantPayload,
  ResumeTenantInput,
  ResumeTenantPayload,
  SuspendTenantInput,
  SuspendTenantPayload,
  UpdateTenantInput,
  UpdateTenantPayload,
} from './tenant-inputs.graphql.js';
import { TenantService } from './tenant.service.js';
import { findOwners, tenants, type OwnerRow } from './tenant.sql.js';

@ArgsType()
class TenantArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => String, { nullable: true, description: 'Its name, instead of its id.' })
  readonly name?: string | null;
}

@ArgsType()
class TenantsArguments extends PageArguments {
  @Field(() => ScopeState, { nullable: true, description: 'Only those in this state.' })
  readonly state?: ScopeState | null;

  @Field(() => String, { nullable: true, description: 'Only those with this in their name or display name, whatever its case.' })
  readonly nameContains?: string | null;

  @Field(() => TenantOrder, { nullable: true, description: 'NAME if not given.' })
  readonly orderBy?: TenantOrder | null;
}

@ArgsType()
class TenantProjectsArguments extends PageArguments {
  @Field(() => ProjectOrder, { nullable: true, description: 'NAME if not given.' })
  readonly orderBy?: ProjectOrder | null;
}

@Authenticated()
@Resolver(() => Tenant)
export class TenantResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: TenantService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'ten', typeName: 'Tenant', load: (ids, context) => loadTenants(database, context, ids) });
  }

  @Query(() => Tenant, { description: 'One tenant, by id or name; NOT_FOUND if there is none that you may see.' })
  async tenant(@Args() args: TenantArguments, @Context() context: GraphqlContext): Promise<Tenant> {
    if ((args.id == null) === (args.name == null)) throw invalidInput('id', 'Give the id or the name.');
    if (args.name != null) return toTenant(await this.service.byName(accessOf(context), args.name));
    const found = await loadTenant(this.database, context, args.id);
    if (found === null) throw notFound('tenant', args.id ?? '', 'id');
    return found;
  }

  @Query(() => TenantConnection, { description: 'Tenants that the caller may see.' })
  tenants(
    @Args() args: TenantsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Tenant>> {
    const { database, feed } = this;
    const parameters: Parameters<typeof tenants.count>[1] = [...accessOf(context).filter('tenant'), args.state ?? null, args.nameContains ?? null];
    const source = {
      page: (request: Parameters<typeof tenants.page>[3]) => tenants.page(database, parameters, args.orderBy ?? TenantOrder.NAME, request),
      count: () => tenants.count(database, parameters),
    };
    return readConnection({ info, args }, { feed, reader: database }, source, toTenant);
  }

  @ResolveField('projects', () => ProjectConnection, { description: 'Its projects that the caller may see.' })
  projects(
    @Parent() tenant: Tenant,
    @Args() args: TenantProjectsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Project>> {
    const { database, feed } = this;
    const parameters: Parameters<typeof projects.count>[1] = [...accessOf(context).filter('project'), tenant.id, null, null];
    const source = {
      page: (request: Parameters<typeof projects.page>[3]) => projects.page(database, parameters, args.orderBy ?? ProjectOrder.NAME, request),
      count: () => projects.count(database, parameters),
    };
    return readConnection({ info, args }, { feed, reader: database }, source, toProject);
  }

  // Where there are no parameter decorators, it is because the field is resolved once a row of a list.
  @ResolveField('zones', () => [UsableZone], { description: 'The zones that it may use now, by name.' })
  async zones(tenant: Tenant, _args: unknown, context: GraphqlContext): Promise<UsableZone[]> {
    if (!accessOf(context).sees('zone', tenant.home)) return [];
    const load = loader<string, UsableZone[]>(context, 'tenant.zones', (ids) => usableZonesOf(this.database, ids));
    return (await load.load(tenant.id)) ?? [];
  }

  @ResolveField('owners', () => [TenantOwner], { description: 'Who owns it.' })
  async owners(tenant: Tenant, _args: unknown, context: GraphqlContext): Promise<TenantOwner[]> {
    const load = loader<string, OwnerRow[]>(context, 'tenant.owners', async (ids) =>
      Map.groupBy(await this.database.rows(findOwners, ...accessOf(context).filter('role binding'), [...ids]), (row) => row.tenant_id),
    );
    return ((await load.load(tenant.id)) ?? []).map((row) => ({ principalId: row.principal_id, name: row.name }));
  }

  @ResolveField('quota', () => QuotaType, { nullable: true, description: 'Its limits, and what is used of them.' })
  quota(tenant: Tenant, _args: unknown, context: GraphqlContext): Promise<QuotaType | null> {
    return loadQuota(this.database, context, tenant.id);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now.' })
  currentOperation(tenant: Tenant, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, tenant.id);
  }

  @Mutation(() => OnboardTenantPayload, {
    description: 'For operators: makes a tenant with quota, owners, zones and first project, all or nothing.',
  })
  async onboardTenant(
    @Args('input', { type: () => OnboardTenantInput, description: 'What it begins with.' }) input: OnboardTenantInput,
    @Context() context: GraphqlContext,
  ): Promise<OnboardTenantPayload> {
    const { command, options } = commandOf(input, context);
    const { zones, ...rest } = command;
    const outcome = await this.service.onboard(accessOf(context), { ...rest, ...(zones == null ? {} : { zones }) }, options);
    const [tenant, project] = await Promise.all([
      loadTenant(this.database, context, outcome.result.id),
      loadProject(this.database, context, outcome.result.projectId),
    ]);
    return { ...toPayload(outcome), tenant, project, ownerToken: outcome.ownerToken };
  }

  @Mutation(() => UpdateTenantPayload, { description: 'For operators: changes what people read of a tenant, and which zones it may use.' })
  async updateTenant(
    @Args('input', { type: () => UpdateTenantInput, description: 'What to change.' }) input: UpdateTenantInput,
    @Context() context: GraphqlContext,
  ): Promise<UpdateTenantPayload> {
    const { command, options } = commandOf(input, context);
    // Null has a meaning of its own here.
    const zones = input.zones === undefined ? {} : { zones: input.zones };
    return this.answer(context, await this.service.update(accessOf(context), { ...command, ...zones }, options));
  }

  @Mutation(() => SuspendTenantPayload, {
    description: 'For operators: nothing new can be made or changed in the tenant until it is resumed. What runs goes on.',
  })
  async suspendTenant(
    @Args('input', { type: () => SuspendTenantInput, description: 'Which.' }) input: SuspendTenantInput,
    @Context() context: GraphqlContext,
  ): Promise<SuspendTenantPayload> {
    return this.change(input, context, (...given) => this.service.suspend(...given));
  }

  @Mutation(() => ResumeTenantPayload, { description: 'For operators: ends a suspension.' })
  async resumeTenant(
    @Args('input', { type: () => ResumeTenantInput, description: 'Which.' }) input: ResumeTenantInput,
    @Context() context: GraphqlContext,
  ): Promise<ResumeTenantPayload> {
    return this.change(input, context, (...given) => this.service.resume(...given));
  }

  @Mutation(() => OffboardTenantPayload, {
    description:
      'For operators: takes a tenant away with all that is in it. A dry run lists what goes, in order; the operation ends with proof that nothing is left, or lists what is.',
  })
  async offboardTenant(
    @Args('input', { type: () => OffboardTenantInput, description: 'Which.' }) input: OffboardTenantInput,
    @Context() context: GraphqlContext,
  ): Promise<OffboardTenantPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.offboard(accessOf(context), command, options);
    const payload = await toOperationPayload(this.database, context, outcome);
    return { ...payload, tenant: await loadTenant(this.database, context, outcome.result.id) };
  }

  private async change(
    input: Target,
    context: GraphqlContext,
    work: TenantService['suspend'],
  ): Promise<SuspendTenantPayload> {
    const { command, options } = commandOf(input, context);
    return this.answer(context, await work(accessOf(context), command, options));
  }

  private async answer(context: GraphqlContext, outcome: Awaited<ReturnType<TenantService['suspend']>>): Promise<SuspendTenantPayload> {
    return { ...toPayload(outcome), tenant: await loadTenant(this.database, context, outcome.result.id) };
  }
}
