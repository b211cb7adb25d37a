import { randomUUID } from 'node:crypto';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { withLogFields } from '#core';
import type { Authenticator, GraphqlContext } from '../context.js';
import type { GraphqlLimits } from '../limits/limits.js';
import type { GraphqlEngine } from './engine.js';
import { WireError, type ErrorFormatter, type RequestFailure } from './errors.js';
import { parseIdempotencyKey } from './idempotency-key.js';
import { contentType, parametersOfUrl, parseGraphqlRequest, prefersGraphqlJson } from './request.js';

const neverAborted = new AbortController().signal;

/** GraphQL over HTTP (graphql.github.io/graphql-over-http): POST with JSON, and GET for queries. */
export class HttpTransport {
  constructor(
    private readonly engine: GraphqlEngine,
    private readonly authenticator: Authenticator,
    private readonly formatter: ErrorFormatter,
    private readonly limits: GraphqlLimits,
  ) {}

  /** Adds the routes. `scope` is a plug-in of its own, so that its parsers and error handler touch nothing else. */
  register(scope: FastifyInstance, path: string): void {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, scope.getDefaultJsonParser('error', 'error'));
    scope.setErrorHandler((error: FastifyError, request, reply) => this.#refuse(asWireError(error), request, reply));
    scope.post(path, { bodyLimit: this.limits.bodyBytes }, (request, reply) =>
      this.#answer(request, reply, () => parseGraphqlRequest(request.body, false)),
    );
  }

  /** Answers a GET; its route is shared with the upgrade to a WebSocket. */
  answerGet(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    return this.#answer(request, reply, () => parseGraphqlRequest(parametersOfUrl(request.query), true));
  }

  async #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    parse: () => ReturnType<typeof parseGraphqlRequest>,
  ): Promise<FastifyReply> {
    const requestId = randomUUID();
    return withLogFields({ requestId }, async () => {
      let answer;
      try {
        const graphqlRequest = parse();
        answer = await this.engine.execute(graphqlRequest, await this.#context(request, requestId));
      } catch (error) {
        answer = this.formatter.formatFailure(error, requestId);
      }
      return send(request, reply, requestId, answer);
    });
  }

  async #context(request: FastifyRequest, requestId: string): Promise<GraphqlContext> {
    const idempotencyKey = parseIdempotencyKey(request.headers['idempotency-key']);
    const { authorization, 'user-agent': userAgent } = request.headers;
    const caller = { remoteAddress: request.ip, userAgent, requestId };
    const { principal } = await this.authenticator.authenticate({ authorization, ...caller });
    return { ...caller, transport: 'http', principal, idempotencyKey, signal: neverAborted };
  }

  #refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const requestId = randomUUID();
    return send(request, reply, requestId, this.formatter.formatFailure(error, requestId));
  }
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  requestId: string,
  answer: { data: unknown; errors?: unknown[] } | RequestFailure,
): FastifyReply {
  const isGraphqlJson = prefersGraphqlJson(request.headers.accept);
  const headers = { 'content-type': contentType(isGraphqlJson), 'cache-control': 'no-store', 'x-request-id': requestId };
  if ('data' in answer) return reply.headers(headers).code(200).send(JSON.stringify(answer));
  const { errors } = answer;
  const status = statusOf(answer, isGraphqlJson);
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  if (status === 405) void reply.header('allow', 'POST');
  const retryAfterMs = errors[0]?.toJSON().extensions.data?.['retryAfterMs'];
  if (typeof retryAfterMs === 'number') void reply.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
  return reply.headers(headers).code(status).send(JSON.stringify({ errors }));
}

/** Plain JSON says 200 to every well-formed GraphQL request, as clients of that media type expect. */
function statusOf(failure: RequestFailure, isGraphqlJson: boolean): number {
  if (isGraphqlJson || failure.status !== 400) return failure.status;
  return failure.errors[0]?.extensions['code'] === 'GRAPHQL_REQUEST' ? 400 : 200;
}

/** What Fastify refuses by itself: a body that is too long, not JSON, or of another type. */
function asWireError(error: FastifyError): unknown {
  const status = error.statusCode ?? 500;
  if (status < 400 || status >= 500) return error;
  const message = status === 415 ? 'Send the request as application/json.' : 'The body must be a JSON object with a "query".';
  return new WireError('GRAPHQL_REQUEST', status === 413 ? 'The body is too large.' : message, status);
}
