import { Args, ArgsType, Context, Field, ID, Info, InputType, Int, Mutation, ObjectType, Parent, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { notFound, type JsonObject, type JsonValue } from '#core';
import { Database } from '#database';
import { EventFeed } from '#events';
import { readConnection } from '#events/api';
import {
  Authenticated,
  connectionOf,
  DEFAULT_PAGE_SIZE,
  loader,
  MAX_PAGE_SIZE,
  Node,
  NodeRegistry,
  PageArguments,
  pageRequest,
  toConnection,
  type Connection,
  type GraphqlContext,
} from '#graphql';
import { accessOf, CommandInput, optionsOf, toProblem } from '#identity/api';
import { OperationQueries, type OperationFilter, type OperationProgress } from './operation-queries.js';
import {
  findOperationAttempts,
  findOperationSteps,
  findVisibleChildren,
  operations,
  type OperationAttemptRow,
  type OperationOrder,
  type OperationRow,
  type OperationStepRow,
} from './operation-queries.sql.js';
import { OperationRequests } from './operation-requests.js';
import {
  BlockerType,
  loadBlockers,
  loadOperation,
  loadOperations,
  Operation,
  OperationAttempt,
  OperationPayload,
  OperationStep,
  OperationStepState,
  Progress,
  toOperation,
  toOperationPayload,
} from './operation.graphql.js';
import { OperationState } from './operation.js';

const OperationOrderType: { readonly [Order in OperationOrder]: Order } = { NEWEST: 'NEWEST', OLDEST: 'OLDEST' };
registerEnumType(OperationOrderType, {
  name: 'OperationOrder',
  description: 'The order of a list of operations.',
  valuesMap: { NEWEST: { description: 'What was made last comes first.' }, OLDEST: { description: 'What was made first comes first.' } },
});

const OperationConnection = connectionOf(Operation);

@ArgsType()
class OperationsArguments extends PageArguments {
  @Field(() => [OperationState], { nullable: true, description: 'Only those in one of these states.' })
  readonly states?: OperationState[] | null;

  @Field(() => String, { nullable: true, description: 'Only of this kind, as `compute.virtual_machine.create`.' })
  readonly kind?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those that work on this resource.' })
  readonly resourceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only the children of this operation, of all its attempts.' })
  readonly parentId?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Also operations that are parts of others; without it only whole ones.' })
  readonly includeChildren?: boolean | null;

  @Field(() => OperationOrderType, { nullable: true, description: 'NEWEST if not given.' })
  readonly order?: OperationOrder | null;
}

@ArgsType()
class ChildrenArguments {
  @Field(() => Int, { nullable: true, description: `At most so many, 1 to ${MAX_PAGE_SIZE}; ${DEFAULT_PAGE_SIZE} if not given.` })
  readonly first?: number | null;
}

@InputType({ description: 'Which operation to cancel.' })
export class CancelOperationInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Which operation to try again.' })
export class RetryOperationInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'Which operation to give up.' })
export class AbandonOperationInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => String, { description: 'Why, in 1 to 1000 characters; kept with the operation.' })
  readonly reason!: string;
}

@ObjectType({ description: 'The operation that was asked to stop; it takes back what it has done, and then ends.' })
export class CancelOperationPayload extends OperationPayload {}

@ObjectType({ description: 'The operation that is tried again.' })
export class RetryOperationPayload extends OperationPayload {}

@ObjectType({ description: 'The operation that is given up.' })
export class AbandonOperationPayload extends OperationPayload {}

@Authenticated()
@Resolver(() => Operation)
export class OperationResolver {
  constructor(
    private readonly database: Database,
    private readonly feed: EventFeed,
    private readonly queries: OperationQueries,
    private readonly requests: OperationRequests,
    private readonly registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'op', typeName: 'Operation', load: (ids, context) => loadOperations(database, context, ids) });
  }

  @Query(() => Operation, { description: 'One operation; NOT_FOUND if there is none that you may see.' })
  async operation(
    @Args('id', { type: () => ID, description: 'Its id.' }) id: string,
    @Context() context: GraphqlContext,
  ): Promise<Operation> {
    const found = await loadOperation(this.database, context, id);
    if (found === null) throw notFound('operation', id, 'id');
    return found;
  }

  @Query(() => OperationConnection, { description: 'Operations that the caller may see.' })
  operations(
    @Args() args: OperationsArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Operation>> {
    const access = accessOf(context);
    const filter = filterOf(args);
    const source = {
      page: (request: Parameters<OperationQueries['list']>[3]) =>
        this.queries.list(this.database, access, filter, request, args.order ?? 'NEWEST'),
      count: () => this.queries.count(this.database, access, filter),
    };
    return readConnection({ info, args }, { feed: this.feed, reader: this.database }, source, toOperation);
  }

  // Where there are no parameter decorators, it is because the field is resolved once a row of a list.
  @ResolveField('resource', () => Node, { nullable: true, description: 'What it works on; null when it is gone or may not be seen.' })
  async resource(operation: Operation, _args: unknown, context: GraphqlContext): Promise<{ id: string } | null> {
    return (await this.registry.load(operation.resourceId, context)) ?? null;
  }

  @ResolveField('parent', () => Operation, { nullable: true, description: 'The operation that it is a part of.' })
  parent(operation: Operation, _args: unknown, context: GraphqlContext): Promise<Operation | null> {
    return loadOperation(this.database, context, operation.row.parent_id);
  }

  @ResolveField('root', () => Operation, {
    nullable: true,
    description: 'The operation that somebody asked for and that this is a part of, or itself; null when that may not be seen.',
  })
  root(operation: Operation, _args: unknown, context: GraphqlContext): Promise<Operation | null> | Operation {
    return operation.row.root_id === operation.id ? operation : loadOperation(this.database, context, operation.row.root_id);
  }

  @ResolveField('children', () => OperationConnection, {
    description: 'The parts of its present attempt, oldest first; `operations(parentId:, order: OLDEST, after:)` goes on from there.',
  })
  async children(
    @Parent() operation: Operation,
    @Args() { first }: ChildrenArguments,
    @Context() context: GraphqlContext,
  ): Promise<Connection<Operation>> {
    const limit = pageRequest({ first: first ?? null }).first ?? DEFAULT_PAGE_SIZE;
    const filter = accessOf(context).filter('operation');
    const load = loader<string, ChildRow[]>(context, `operation.children.${limit}`, async (ids) =>
      Map.groupBy(await this.database.rows(findVisibleChildren, ...filter, [...ids], limit), (row) => String(row.parent_id)),
    );
    return toChildren((await load.load(operation.id)) ?? []);
  }

  @ResolveField('steps', () => [OperationStep], { description: 'The steps of its present attempt, in order, begun or not.' })
  async steps(operation: Operation, _args: unknown, context: GraphqlContext): Promise<OperationStep[]> {
    const { attempt, step_names } = operation.row;
    const begun = ((await this.stepRows(operation, context)) ?? []).filter((row) => row.attempt === attempt);
    return step_names.map((name, index) => toStep(name, begun.find((row) => row.index === index)));
  }

  @ResolveField('earlierAttempts', () => [OperationAttempt], { description: 'The attempts before the present one, oldest first.' })
  async earlierAttempts(operation: Operation, _args: unknown, context: GraphqlContext): Promise<OperationAttempt[]> {
    if (operation.attempt === 1) return [];
    const load = loader<string, OperationAttemptRow[]>(context, 'operation.attempts', async (ids) =>
      Map.groupBy(await this.database.rows(findOperationAttempts, [...ids]), (row) => row.operation_id),
    );
    const [attempts = [], steps = []] = await Promise.all([load.load(operation.id), this.stepRows(operation, context)]);
    return attempts.map((row) => ({
      attempt: row.attempt,
      state: row.state,
      error: row.error === null ? null : toProblem(row.error),
      principalId: row.principal_id,
      queuedAt: row.queued_at,
      startedAt: row.started_at,
      endedAt: row.ended_at,
      steps: steps.filter((step) => step.attempt === row.attempt).map((step) => toStep(step.name, step)),
    }));
  }

  @ResolveField('progress', () => Progress, { description: 'How much of it is done, its children weighed in.' })
  async progress(operation: Operation, _args: unknown, context: GraphqlContext): Promise<Progress> {
    const load = loader<OperationRow, OperationProgress>(context, 'operation.progress', async (rows) => {
      const found = await this.queries.progress(this.database, rows);
      return new Map(rows.flatMap((row) => [found.get(row.id)].flatMap((progress) => (progress === undefined ? [] : [[row, progress]]))));
    });
    const progress = await load.load(operation.row);
    const { stepsDone = 0, stepsKnown = 0, percent = 0, expectedEndAt = null } = progress ?? {};
    return { done: stepsDone, known: stepsKnown, percent, expectedEndAt };
  }

  @ResolveField('blockers', () => [BlockerType], {
    description: 'What it waits for now, walked down through its children to the root causes; empty when it moves or has ended.',
  })
  blockers(operation: Operation, _args: unknown, context: GraphqlContext): Promise<BlockerType[]> | BlockerType[] {
    return operation.endedAt === null ? loadBlockers(this.database, context, operation.id) : [];
  }

  @Mutation(() => CancelOperationPayload, {
    description: 'Asks an operation to stop and to take back what it has done; refused past its pivot, with the reason.',
  })
  async cancelOperation(
    @Args('input', { type: () => CancelOperationInput, description: 'Which.' }) input: CancelOperationInput,
    @Context() context: GraphqlContext,
  ): Promise<CancelOperationPayload> {
    const outcome = await this.requests.cancel(accessOf(context), input.id, optionsOf(input, context));
    return toOperationPayload(this.database, context, outcome);
  }

  @Mutation(() => RetryOperationPayload, {
    description: 'Admits a FAILED operation again, as a new attempt; for operators, lets a STUCK one go on where it is.',
  })
  async retryOperation(
    @Args('input', { type: () => RetryOperationInput, description: 'Which.' }) input: RetryOperationInput,
    @Context() context: GraphqlContext,
  ): Promise<RetryOperationPayload> {
    return toOperationPayload(this.database, context, await this.requests.retry(accessOf(context), input.id, optionsOf(input, context)));
  }

  @Mutation(() => AbandonOperationPayload, {
    description: 'For operators: gives a STUCK operation up. It ends FAILED as it is, and lists the steps whose traces may be left.',
  })
  async abandonOperation(
    @Args('input', { type: () => AbandonOperationInput, description: 'Which, and why.' }) input: AbandonOperationInput,
    @Context() context: GraphqlContext,
  ): Promise<AbandonOperationPayload> {
    const outcome = await this.requests.abandon(accessOf(context), input.id, input.reason, optionsOf(input, context));
    return toOperationPayload(this.database, context, outcome);
  }

  private stepRows(operation: Operation, context: GraphqlContext): Promise<OperationStepRow[] | undefined> {
    const load = loader<string, OperationStepRow[]>(context, 'operation.steps', async (ids) =>
      Map.groupBy(await this.database.rows(findOperationSteps, [...ids]), (row) => row.operation_id),
    );
    return load.load(operation.id);
  }
}

function filterOf(args: OperationsArguments): OperationFilter {
  const { states, kind, resourceId, projectId, tenantId, parentId, includeChildren } = args;
  return {
    ...(states == null ? {} : { states }),
    ...(kind == null ? {} : { kind }),
    ...(resourceId == null ? {} : { resourceId }),
    ...(projectId == null ? {} : { projectId }),
    ...(tenantId == null ? {} : { tenantId }),
    ...(parentId == null ? {} : { parentId }),
    includeChildren: includeChildren ?? false,
  };
}

type ChildRow = OperationRow & { siblings: number };

function toChildren(rows: readonly ChildRow[]): Connection<Operation> {
  const total = rows[0]?.siblings ?? 0;
  const cursors = rows.map(({ id }) => operations.cursor('OLDEST', id, id));
  const page = { rows, cursors, hasNextPage: total > rows.length, hasPreviousPage: false };
  return toConnection(page, toOperation, total);
}

function toStep(name: string, row: OperationStepRow | undefined): OperationStep {
  return {
    name,
    state: row?.state ?? OperationStepState.PENDING,
    tries: row?.tries ?? 0,
    startedAt: row?.started_at ?? null,
    endedAt: row?.ended_at ?? null,
    error: row == null || row.error === null ? null : toProblem(row.error),
    proof: proofOf(row?.output ?? null),
  };
}

function proofOf(output: JsonValue | null): JsonObject | null {
  if (output === null || typeof output !== 'object' || !('proof' in output)) return null;
  return output.proof as JsonObject;
}
