import type { FastifyInstance } from 'fastify';
import {
  BREAK,
  createSourceEventStream,
  execute,
  getNamedType,
  getOperationAST,
  isEnumType,
  isSpecifiedScalarType,
  Kind,
  parse,
  typeFromAST,
  validate,
  visit,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type VariableDefinitionNode,
} from '../graphql-js.js';
import 'mercurius';
import { MuonError, withLogFields } from '#core';
import type { GraphqlContext, RequestMeter } from '../context.js';
import { operationCost, requestCost } from '../limits/cost.js';
import { documentDepth } from '../limits/depth.js';
import { limitExceeded, type GraphqlLimits } from '../limits/limits.js';
import { WireError, type ErrorFormatter, type PublicGraphqlError, type RequestFailure } from './errors.js';

/** One GraphQL request, checked for form only. */
export interface GraphqlRequest {
  query: string;
  variables: Readonly<Record<string, unknown>>;
  operationName: string | undefined;
  /** Whether the transport allows queries only, as HTTP GET does. */
  isReadOnly: boolean;
}

/** What execution came to; `data` is there even when it is null. */
export interface GraphqlAnswer {
  data: unknown;
  errors?: PublicGraphqlError[];
}

/** What an operation on a socket came to, with the document it was read from. */
export interface Outcome {
  document: DocumentNode;
  result: GraphqlAnswer | AsyncIterableIterator<unknown>;
}

interface SubscriptionArguments {
  schema: GraphQLSchema;
  document: DocumentNode;
  variableValues: GraphqlRequest['variables'];
  operationName: string | undefined;
  /** What each of its events is charged. */
  eventCost: number;
}

interface RawResult {
  data?: unknown;
  errors?: readonly unknown[];
}

/** How many faults of one document are told at most. */
export const MAX_VALIDATION_ERRORS = 20;

/**
 * Runs GraphQL requests on Mercurius, which keeps parsed documents and compiles those that come often. The limits are
 * checked on its hooks: depth before validation, cost after the variables are known. Both transports go through here.
 */
export class GraphqlEngine {
  /** What the hooks must know of a request beyond its context. */
  readonly #requests = new WeakMap<object, GraphqlRequest>();
  /** By the document that Mercurius keeps, which holds for one operation because of its key. */
  readonly #compiledWrongly = new WeakMap<DocumentNode, boolean>();
  /** An upper bound of what Mercurius keeps. */
  #keptCharacters = 0;

  constructor(
    private readonly fastify: FastifyInstance,
    private readonly schema: GraphQLSchema,
    private readonly limits: GraphqlLimits,
    private readonly formatter: ErrorFormatter,
    private readonly meter?: RequestMeter,
  ) {
    fastify.graphql.addHook('preValidation', async (_schema, document) => {
      this.#checkDepth(document);
      this.#makeRoom(document);
    });
    fastify.graphql.addHook('preExecution', async (_schema, document, context, variables) => {
      const request = this.#requests.get(context);
      if (request === undefined) return undefined;
      const operation = await this.#checkOperation(document, request, variables ?? {}, context as unknown as GraphqlContext);
      // A document given back is executed as it is, without compiling it.
      return this.#compilesWrongly(document, operation) ? { document } : undefined;
    });
  }

  /** Runs a query or a mutation. */
  async execute(request: GraphqlRequest, context: GraphqlContext): Promise<GraphqlAnswer | RequestFailure> {
    try {
      this.#checkLength(request.query);
      this.#requests.set(context, request);
      const { data, errors } = (await this.fastify.graphql(
        cacheKey(request),
        context as unknown as Record<string, unknown>,
        { ...request.variables },
        request.operationName,
      )) as RawResult;
      if (errors === undefined || errors.length === 0) return { data };
      return { data: data ?? null, errors: this.formatter.format(errors, context.requestId) };
    } catch (error) {
      return this.formatter.formatFailure(error, context.requestId);
    }
  }

  /**
   * Runs what came over a socket: a query or mutation to its end, a subscription to its stream of answers. Each event is
   * executed with a context of its own, so that nothing loaded for one event is served for a later one.
   */
  async run(request: GraphqlRequest, contextOf: (signal: AbortSignal) => GraphqlContext): Promise<Outcome | RequestFailure> {
    const ending = new AbortController();
    const context = contextOf(ending.signal);
    return withLogFields({ requestId: context.requestId }, async () => {
      try {
        this.#checkLength(request.query);
        const document = parse(request.query, { maxTokens: this.limits.tokens });
        if (getOperationAST(document, request.operationName)?.operation !== 'subscription') {
          const answer = await this.execute(request, context);
          return 'status' in answer ? answer : { document, result: answer };
        }
        const operation = await this.#checkSubscription(document, request, context);
        const { eventCost: _eventCost, ...sourceOf } = operation;
        const stream = await createSourceEventStream({ ...sourceOf, contextValue: context });
        if (!(Symbol.asyncIterator in stream)) {
          return { status: 400, errors: this.formatter.format(stream.errors ?? [], context.requestId) };
        }
        const source = (stream as AsyncIterable<unknown>)[Symbol.asyncIterator]();
        return { document, result: this.#answers(source, operation, () => contextOf(ending.signal), () => ending.abort()) };
      } catch (error) {
        return this.formatter.formatFailure(error, context.requestId);
      }
    });
  }

  async #checkSubscription(document: DocumentNode, request: GraphqlRequest, context: GraphqlContext): Promise<SubscriptionArguments> {
    const { variables: variableValues, operationName } = request;
    this.#checkDepth(document);
    const errors = validate(this.schema, document, undefined, { maxErrors: MAX_VALIDATION_ERRORS });
    if (errors.length > 0) throw new AggregateError(errors);
    const operation = await this.#checkOperation(document, request, variableValues, context);
    const eventCost = operationCost(this.schema, document, operation, variableValues);
    return { schema: this.schema, document, variableValues, operationName, eventCost };
  }

  /** The checks on a document's depth; Mercurius runs them once for a document, before validating it. */
  #checkDepth(document: DocumentNode): void {
    const depth = documentDepth(document);
    if (depth > this.limits.depth) throw limitExceeded('depth', this.limits.depth, depth);
  }

  /** Mercurius bounds how many documents it keeps, but not how large they are: forget all when they come to too much. */
  #makeRoom(document: DocumentNode): void {
    const characters = document.loc?.source.body.length ?? 0;
    this.#keptCharacters += characters;
    if (this.#keptCharacters <= this.limits.documentCharacters) return;
    this.fastify.graphql.replaceSchema(this.schema);
    this.#keptCharacters = characters;
  }

  #checkLength(query: string): void {
    if (query.length > this.limits.documentLength) {
      throw limitExceeded('documentLength', this.limits.documentLength, query.length);
    }
  }

  /** The checks on one operation; last of all its cost is taken from its caller's budget. */
  async #checkOperation(
    document: DocumentNode,
    request: GraphqlRequest,
    variables: Readonly<Record<string, unknown>>,
    context: GraphqlContext,
  ): Promise<OperationDefinitionNode> {
    const operation = getOperationAST(document, request.operationName);
    if (operation == null) throw new WireError('GRAPHQL_OPERATION', 'Say by operationName which operation to run.');
    if (operation.operation === 'subscription' && context.transport === 'http') {
      throw new WireError('GRAPHQL_OPERATION', 'Subscriptions run over WebSocket (graphql-transport-ws) only.');
    }
    if (request.isReadOnly && operation.operation !== 'query') {
      throw new WireError('GRAPHQL_OPERATION', 'Only queries run over GET: use POST.', 405);
    }
    const cost = operationCost(this.schema, document, operation, variables);
    if (cost > this.limits.cost) throw limitExceeded('cost', this.limits.cost, cost);
    if (operation.operation === 'mutation' && context.idempotencyKey !== undefined && countRootFields(document, operation) > 1) {
      throw new MuonError('INVALID_INPUT', 'With an Idempotency-Key a request holds one mutation field.', {
        field: 'Idempotency-Key',
      });
    }
    if (context.principal !== undefined) await this.meter?.charge(context.principal, requestCost(operation, cost));
    return operation;
  }

  /**
   * Where GraphQL JIT answers wrongly, so that such operations are interpreted: it takes the condition of a fragment's
   * first spread for all of its spreads, and puts the default of a variable through JSON, which makes text of dates.
   */
  #compilesWrongly(document: DocumentNode, operation: OperationDefinitionNode): boolean {
    let isWrong = this.#compiledWrongly.get(document);
    if (isWrong === undefined) {
      isWrong = hasConditions(document) || (operation.variableDefinitions ?? []).some((variable) => this.#hasDefaultOfOurs(variable));
      this.#compiledWrongly.set(document, isWrong);
    }
    return isWrong;
  }

  /** Whether a variable has a default that is more than a number, a text or the like. */
  #hasDefaultOfOurs({ defaultValue, type }: VariableDefinitionNode): boolean {
    if (defaultValue === undefined || defaultValue.kind === Kind.NULL) return false;
    const named = getNamedType(typeFromAST(this.schema, type));
    return !isEnumType(named) && !isSpecifiedScalarType(named as GraphQLNamedType);
  }

  #answers(
    source: AsyncIterator<unknown>,
    { eventCost, ...operation }: SubscriptionArguments,
    contextOfEvent: () => GraphqlContext,
    onEnd: () => void,
  ): AsyncIterableIterator<unknown> {
    const leave = (): void => {
      onEnd();
      // Not awaited: a source that is an async generator answers only after the event it waits for.
      source.return?.().catch(() => undefined);
    };
    const next = async (): Promise<IteratorResult<unknown>> => {
      const context = contextOfEvent();
      try {
        const event = await source.next();
        if (event.done === true) {
          onEnd();
          return { done: true, value: undefined };
        }
        if (context.principal !== undefined) await this.meter?.charge(context.principal, eventCost);
        const { data, errors } = await withLogFields({ requestId: context.requestId }, () =>
          execute({ ...operation, rootValue: event.value, contextValue: context }),
        );
        return { done: false, value: errors === undefined ? { data } : { data, errors: this.formatter.format(errors, context.requestId) } };
      } catch (error) {
        leave();
        throw this.formatter.formatOne(error, context.requestId);
      }
    };
    // Not an async generator itself, for the same reason.
    const end = async (): Promise<IteratorResult<unknown>> => {
      leave();
      return { done: true, value: undefined };
    };
    const answers: AsyncIterableIterator<unknown> = { next, return: end, [Symbol.asyncIterator]: () => answers };
    return answers;
  }
}

/**
 * Mercurius keeps one compiled query for each text, whichever of its operations was asked for, and takes a text that is
 * no GraphQL for a document in JSON. A comment with the operation's name makes texts differ by operation, and is no JSON.
 */
function cacheKey(request: GraphqlRequest): string {
  return `${request.query} #${request.operationName ?? ''}`;
}

/** Whether anything in a document is skipped or included by a condition. */
function hasConditions(document: DocumentNode): boolean {
  let isFound = false;
  visit(document, {
    Directive({ name }) {
      if (name.value !== 'skip' && name.value !== 'include') return undefined;
      isFound = true;
      return BREAK;
    },
  });
  return isFound;
}

/** How many fields a mutation runs: one for each name in its answer, fragments opened up. */
function countRootFields(document: DocumentNode, operation: OperationDefinitionNode): number {
  const names = new Set<string>();
  const visited = new Set<string>();
  const collect = (selectionSet: SelectionSetNode | undefined): void => {
    for (const selection of selectionSet?.selections ?? []) {
      if (selection.kind === Kind.FIELD) {
        if (selection.name.value !== '__typename') names.add((selection.alias ?? selection.name).value);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        collect(selection.selectionSet);
      } else if (!visited.has(selection.name.value)) {
        visited.add(selection.name.value);
        collect(fragmentNamed(document, selection.name.value)?.selectionSet);
      }
    }
  };
  collect(operation.selectionSet);
  return names.size;
}

function fragmentNamed(document: DocumentNode, name: string): FragmentDefinitionNode | undefined {
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name) return definition;
  }
  return undefined;
}
