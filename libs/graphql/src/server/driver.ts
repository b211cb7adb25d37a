import { Inject, Injectable } from '@nestjs/common';
import type { MercuriusDriverConfig } from '@nestjs/mercurius';
import { MercuriusDriver } from '@nestjs/mercurius';
import websocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from '#core';
import type { Authenticator, RequestMeter } from '../context.js';
import type { GraphqlLimits } from '../limits/limits.js';
import { WebSocketTransport } from '../websocket/transport.js';
import { GraphqlEngine, MAX_VALIDATION_ERRORS } from './engine.js';
import { ErrorFormatter } from './errors.js';
import { registerGraphiql, type GraphiqlOptions } from './graphiql.js';
import { HttpTransport } from './http.js';

export const SERVER_PARTS = Symbol('muon:graphql:server-parts');

/** What the app gives, with defaults filled in. */
export interface ServerParts {
  authenticator: Authenticator;
  meter: RequestMeter | undefined;
  logger: Logger;
  limits: GraphqlLimits;
  graphiql: GraphiqlOptions | false;
}

type EventFilter = (event: unknown, variables: unknown, context: unknown, info?: unknown) => boolean | Promise<boolean>;
type Subscribe = (...args: readonly unknown[]) => Promise<AsyncIterable<unknown>>;

/** Nest's driver for Mercurius, with routes of our own: one path for POST, GET and sockets, and one for GraphiQL. */
@Injectable()
export class GraphqlServerDriver extends MercuriusDriver {
  constructor(@Inject(SERVER_PARTS) private readonly parts: ServerParts) {
    super();
  }

  override async start(options: MercuriusDriverConfig): Promise<void> {
    const { limits } = this.parts;
    await super.start({
      ...options,
      routes: false,
      cache: limits.documents,
      // Compiling pays from the third use on and must not starve a busy process.
      jit: { minCount: 3, eluThreshold: limits.compileUtilization, maxCompilePerTick: 1, maxQueueSize: 100 },
      graphql: { parseOptions: { maxTokens: limits.tokens }, validateOptions: { maxErrors: MAX_VALIDATION_ERRORS } },
      // Errors are formatted once, by the engine, with the request's id.
      errorFormatter: ({ data, errors }) => ({ statusCode: 200, response: { data: data ?? null, errors: [...(errors ?? [])] } }),
    });
    const fastify = this.httpAdapterHost.httpAdapter.getInstance<FastifyInstance>();
    await fastify.register((scope) => this.#routes(scope, options.schema as GraphQLSchema, options.path ?? '/graphql'));
  }

  /** Unlike Mercurius's own, it can be left while the source is quiet, and an error of the filter ends the subscription. */
  override subscriptionWithFilter(instance: unknown, filter: EventFilter, createSubscribe: () => Subscribe): Subscribe {
    const subscribe = createSubscribe();
    return async (...args) => {
      const source = (await subscribe(...args))[Symbol.asyncIterator]();
      const next = async (): Promise<IteratorResult<unknown>> => {
        for (;;) {
          const event = await source.next();
          if (event.done === true || (await filter.call(instance, event.value, args[1], args[2], args[3]))) return event;
        }
      };
      const end = async (): Promise<IteratorResult<unknown>> => (await source.return?.()) ?? { done: true, value: undefined };
      const filtered: AsyncIterableIterator<unknown> = { next, return: end, [Symbol.asyncIterator]: () => filtered };
      return filtered;
    };
  }

  async #routes(scope: FastifyInstance, schema: GraphQLSchema, path: string): Promise<void> {
    const { authenticator, meter, logger, limits, graphiql } = this.parts;
    const formatter = new ErrorFormatter(logger);
    const engine = new GraphqlEngine(scope, schema, limits, formatter, meter);
    const http = new HttpTransport(engine, authenticator, formatter, limits);
    const sockets = new WebSocketTransport({ engine, schema, authenticator, formatter, limits, logger });
    // Before the plug-in's own hook of this kind, which closes sockets without saying why.
    scope.addHook('preClose', async () => sockets.stop());
    await scope.register(websocket, { options: { maxPayload: limits.bodyBytes, handleProtocols } });
    http.register(scope, path);
    scope.route({
      method: 'GET',
      url: path,
      preValidation: (request, reply) => sockets.refuseWhenFull(request, reply),
      handler: (request, reply) => http.answerGet(request, reply),
      wsHandler: (socket, request) => sockets.serve(socket, request),
    });
    if (graphiql !== false) registerGraphiql(scope, path, graphiql);
  }
}

/** A client that speaks only another protocol is let in without one and then closed with 4406. */
function handleProtocols(offered: Set<string>): string | false {
  return offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false;
}
