import { Args, ArgsType, Context, Field, ID, Info, Mutation, Query, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import { Authenticated, NodeRegistry, PageArguments, type Connection, type GraphqlContext } from '#graphql';
import { accessOf, toPayload } from '#identity/api';
import { loadCurrentOperation, Operation, toOperationPayload } from '#operations/api';
import { loadQuota, QuotaType } from '#quota/api';
import { ScopeState } from '#scopes';
import { commandOf, type Target } from '../command-input.graphql.js';
import { loadProject, loadProjects, loadTenant, Project, ProjectConnection, ProjectOrder, Tenant, toProject } from '../tenancy-types.graphql.js';
import {
  CreateProjectInput,
  CreateProjectPayload,
  DeleteProjectInput,
  DeleteProjectPayload,
  ResumeProjectInput,
  ResumeProjectPayload,
  SuspendProjectInput,
  SuspendProjectPayload,
  UpdateProjectInput,
  UpdateProjectPayload,
} from '../tenant/tenant-inputs.graphql.js';
import { ProjectService } from './project.service.js';
import { projects } from './project.sql.js';

@ArgsType()
class ProjectArguments {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly id?: string | null;

  @Field(() => String, { nullable: true, description: 'Its name, instead of its id.' })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: 'With a name: its tenant. Needed only by those who may see several projects of that name.' })
  readonly tenantId?: string | null;
}

@ArgsType()
class ProjectsArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => ScopeState, { nullable: true, description: 'Only those in this state.' })
  readonly state?: ScopeState | null;

  @Field(() => String, { nullable: true, description: 'Only those with this in their name or display name, whatever its case.' })
  readonly nameContains?: string | null;

  @Field(() => ProjectOrder, { nullable: true, description: 'NAME if not given.' })
  readonly orderBy?: ProjectOrder | null;
}

@Authenticated()
@Resolver(() => Project)
export class ProjectResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly service: ProjectService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'prj', typeName: 'Project', load: (ids, context) => loadProjects(database, context, ids) });
  }

  @Query(() => Project, { description: 'One project, by id or name; NOT_FOUND if there is none that you may see.' })
  async project(@Args() args: ProjectArguments, @Context() context: GraphqlContext): Promise<Project> {
    if ((args.id == null) === (args.name == null)) throw invalidInput('id', 'Give the id or the name.');
    if (args.name != null) return toProject(await this.service.byName(accessOf(context), args.name, args.tenantId ?? null));
    const found = await loadProject(this.database, context, args.id);
    if (found === null) throw notFound('project', args.id ?? '', 'id');
    return found;
  }

  @Query(() => ProjectConnection, { description: 'Projects that the caller may see.' })
  projects(
    @Args() args: ProjectsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Project>> {
    const { database, feed } = this;
    const parameters: Parameters<typeof projects.count>[1] = [
      ...accessOf(context).filter('project'),
      args.tenantId ?? null,
      args.state ?? null,
      args.nameContains ?? null,
    ];
    const source = {
      page: (request: Parameters<typeof projects.page>[3]) => projects.page(database, parameters, args.orderBy ?? ProjectOrder.NAME, request),
      count: () => projects.count(database, parameters),
    };
    return readConnection({ info, args }, { feed, reader: database }, source, toProject);
  }

  // Where there are no parameter decorators, it is because the field is resolved once a row of a list.
  @ResolveField('tenant', () => Tenant, { nullable: true, description: 'Its tenant; null when the caller may not see that.' })
  tenant(project: Project, _args: unknown, context: GraphqlContext): Promise<Tenant | null> {
    return loadTenant(this.database, context, project.tenantId);
  }

  @ResolveField('quota', () => QuotaType, { nullable: true, description: 'Its limits, and what is used of them.' })
  quota(project: Project, _args: unknown, context: GraphqlContext): Promise<QuotaType | null> {
    return loadQuota(this.database, context, project.id);
  }

  @ResolveField('currentOperation', () => Operation, { nullable: true, description: 'The operation that holds it now.' })
  currentOperation(project: Project, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadCurrentOperation(this.database, context, project.id);
  }

  @Mutation(() => CreateProjectPayload, { description: 'For owners of the tenant: makes a project, with limits carved out of the tenant’s.' })
  async createProject(
    @Args('input', { type: () => CreateProjectInput, description: 'What to make.' }) input: CreateProjectInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateProjectPayload> {
    const { command, options } = commandOf(input, context);
    return this.answer(context, await this.service.create(accessOf(context), command, options));
  }

  @Mutation(() => UpdateProjectPayload, { description: 'Changes what people read of a project.' })
  async updateProject(
    @Args('input', { type: () => UpdateProjectInput, description: 'What to change.' }) input: UpdateProjectInput,
    @Context() context: GraphqlContext,
  ): Promise<UpdateProjectPayload> {
    const { command, options } = commandOf(input, context);
    return this.answer(context, await this.service.update(accessOf(context), command, options));
  }

  @Mutation(() => SuspendProjectPayload, {
    description: 'Nothing new can be made or changed in the project until it is resumed. What runs goes on.',
  })
  async suspendProject(
    @Args('input', { type: () => SuspendProjectInput, description: 'Which.' }) input: SuspendProjectInput,
    @Context() context: GraphqlContext,
  ): Promise<SuspendProjectPayload> {
    return this.change(input, context, (...given) => this.service.suspend(...given));
  }

  @Mutation(() => ResumeProjectPayload, { description: 'Ends a suspension.' })
  async resumeProject(
    @Args('input', { type: () => ResumeProjectInput, description: 'Which.' }) input: ResumeProjectInput,
    @Context() context: GraphqlContext,
  ): Promise<ResumeProjectPayload> {
    return this.change(input, context, (...given) => this.service.resume(...given));
  }

  @Mutation(() => DeleteProjectPayload, {
    description: 'Takes a project away with all that is in it. A dry run lists what goes, in order.',
  })
  async deleteProject(
    @Args('input', { type: () => DeleteProjectInput, description: 'Which.' }) input: DeleteProjectInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteProjectPayload> {
    const { command, options } = commandOf(input, context);
    const outcome = await this.service.delete(accessOf(context), command, options);
    const payload = await toOperationPayload(this.database, context, outcome);
    return { ...payload, project: await loadProject(this.database, context, outcome.result.id) };
  }

  private async change(input: Target, context: GraphqlContext, work: ProjectService['suspend']): Promise<SuspendProjectPayload> {
    const { command, options } = commandOf(input, context);
    return this.answer(context, await work(accessOf(context), command, options));
  }

  private async answer(context: GraphqlContext, outcome: Awaited<ReturnType<ProjectService['suspend']>>): Promise<SuspendProjectPayload> {
    return { ...toPayload(outcome), project: await loadProject(this.database, context, outcome.result.id) };
  }
}
