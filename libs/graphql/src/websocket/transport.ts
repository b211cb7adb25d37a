import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ExecutionArgs, ExecutionResult, GraphQLSchema } from 'graphql';
import { makeServer, type Context, type SubscribePayload } from 'graphql-ws';
import type { WebSocket } from 'ws';
import { MuonError, type Logger } from '#core';
import type { Authenticator, GraphqlContext } from '../context.js';
import { limitExceeded, type GraphqlLimits } from '../limits/limits.js';
import type { GraphqlEngine } from '../server/engine.js';
import type { ErrorFormatter, PublicGraphqlError } from '../server/errors.js';
import { parseGraphqlRequest } from '../server/request.js';
import { SocketConnection } from './connection.js';
import { CredentialWatch, FORBIDDEN, TRY_AGAIN_LATER } from './credential-watch.js';

interface Extra {
  connection: SocketConnection;
  request: FastifyRequest;
}
type SocketContext = Context<Record<string, unknown>, Extra>;

const GOING_AWAY = 1001;
const INTERNAL_SERVER_ERROR = 4500;
const INITIALISATION_TIME_MS = 3000;

export interface WebSocketParts {
  engine: GraphqlEngine;
  schema: GraphQLSchema;
  authenticator: Authenticator;
  formatter: ErrorFormatter;
  limits: GraphqlLimits;
  logger: Logger;
}

/**
 * GraphQL over WebSocket: the protocol graphql-transport-ws with its close codes, by graphql-ws. A socket belongs to the
 * caller who signed in when it opened, and ends when that credential does.
 */
export class WebSocketTransport {
  readonly #watch: CredentialWatch;
  readonly #server;
  readonly #open = new Set<SocketConnection>();

  constructor(private readonly parts: WebSocketParts) {
    this.#watch = new CredentialWatch(parts.authenticator, parts.logger);
    this.#server = makeServer<Record<string, unknown>, Extra>({
      schema: parts.schema,
      connectionInitWaitTimeout: INITIALISATION_TIME_MS,
      onConnect: (context) => this.#signIn(context),
      onSubscribe: (context, _id, payload) => this.#start(context, payload),
      // The operation has run by now; its outcome travels in place of a context value.
      execute: (args) => args.contextValue as ExecutionResult,
      subscribe: (args) => args.contextValue as AsyncIterableIterator<ExecutionResult>,
    });
  }

  /** Sends all clients away, as the process ends; those of this protocol connect again, to another process. */
  stop(): void {
    this.#watch.stop();
    for (const connection of this.#open) connection.close(GOING_AWAY, 'The server is going away.');
  }

  /** Refuses the upgrade when the process has as many sockets as it will bear. */
  async refuseWhenFull(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!request.ws || this.#open.size < this.parts.limits.sockets) return;
    const { errors } = this.parts.formatter.formatFailure(limitExceeded('sockets', this.parts.limits.sockets), randomUUID());
    await reply.code(503).header('retry-after', '5').send({ errors });
  }

  /** Serves one socket until it closes. */
  serve(socket: WebSocket, request: FastifyRequest): void {
    const connection = new SocketConnection(socket, this.parts.limits.socketBufferBytes);
    this.#open.add(connection);
    const fail = (error: unknown): void => {
      this.parts.logger.error({ err: error }, 'a socket failed');
      connection.close(INTERNAL_SERVER_ERROR, 'Internal server error');
    };
    const closed = this.#server.opened(
      {
        protocol: socket.protocol,
        send: (text) => connection.send(text),
        close: (code, reason) => connection.close(code ?? INTERNAL_SERVER_ERROR, reason ?? ''),
        onMessage: (receive) =>
          // Without a binary type of its own, ws hands every message over as one buffer.
          socket.on('message', (data: Buffer) => {
            if (connection.isOpen) receive(data.toString()).catch(fail);
          }),
      },
      { connection, request },
    );
    socket.once('close', (code, reason) => {
      this.#open.delete(connection);
      closed(code, String(reason)).catch(fail);
    });
  }

  async #signIn({ connectionParams, extra: { connection, request } }: SocketContext): Promise<boolean> {
    const requestId = randomUUID();
    try {
      const authentication = await this.parts.authenticator.authenticate({
        authorization: authorizationOf(connectionParams) ?? request.headers.authorization,
        remoteAddress: request.ip,
        userAgent: request.headers['user-agent'],
        requestId,
      });
      if (authentication.principal === undefined) {
        throw new MuonError('UNAUTHENTICATED', 'Sign in first: give authorization in connection_init.');
      }
      if (!connection.isOpen) return false;
      connection.authentication = authentication;
      this.#watch.add(connection);
      return true;
    } catch (error) {
      const { message, extensions } = this.parts.formatter.formatOne(error, requestId).toJSON();
      connection.close(extensions.retryable ? TRY_AGAIN_LATER : FORBIDDEN, `${extensions.code}: ${message}`);
      return false;
    }
  }

  async #start(
    { extra: { connection, request }, subscriptions }: SocketContext,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs | readonly PublicGraphqlError[]> {
    const { engine, schema, formatter, limits } = this.parts;
    const contextOf = (signal: AbortSignal): GraphqlContext => ({
      requestId: randomUUID(),
      transport: 'websocket',
      principal: connection.authentication?.principal,
      remoteAddress: request.ip,
      userAgent: request.headers['user-agent'],
      idempotencyKey: undefined,
      signal,
    });
    try {
      const running = Object.keys(subscriptions).length;
      if (running > limits.subscriptionsPerSocket) {
        throw limitExceeded('subscriptionsPerSocket', limits.subscriptionsPerSocket, running);
      }
      const graphqlRequest = parseGraphqlRequest(payload, false);
      const outcome = await engine.run(graphqlRequest, contextOf);
      if ('status' in outcome) return outcome.errors;
      const { document, result } = outcome;
      return { schema, document, operationName: graphqlRequest.operationName, contextValue: result };
    } catch (error) {
      return formatter.formatFailure(error, randomUUID()).errors;
    }
  }
}

function authorizationOf(parameters: Readonly<Record<string, unknown>> | undefined): string | undefined {
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') return value;
  }
  return undefined;
}
