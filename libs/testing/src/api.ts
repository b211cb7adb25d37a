import { Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { MuonError, type Logger } from '#core';
import type { Database } from '#database';
import type { Authentication, Authenticator, PresentedCredential } from '#graphql';
import type { Access } from '#identity';

export interface TestApiOptions {
  log: Logger;
  /** What resolvers ask for, by class. */
  services: readonly object[];
  resolvers: readonly Type<unknown>[];
  /** Whom the token `name` stands for. */
  callers: Readonly<Record<string, Access>>;
}

export interface TestAnswer<Data> {
  data: Data;
  errors?: { message: string; path?: (string | number)[]; extensions: { code: string; field?: string; data?: Record<string, unknown> } }[];
}

/** A room's part of the API, served over HTTP as apps serve it. */
export interface TestApi {
  readonly url: string;
  readonly schema: string;
  /** What was answered, errors and all. */
  ask<Data>(caller: string, query: string, variables?: Record<string, unknown>, headers?: Record<string, string>): Promise<TestAnswer<Data>>;
  /** The data of an answer without errors. */
  data<Data>(caller: string, query: string, variables?: Record<string, unknown>): Promise<Data>;
  /** The same answer, compiled: asks often enough that the document is compiled before the last time. */
  compiled<Data>(caller: string, query: string, variables?: Record<string, unknown>): Promise<Data>;
  close(): Promise<void>;
}

class NamedCallers implements Authenticator {
  constructor(private readonly callers: TestApiOptions['callers']) {}

  async authenticate({ authorization }: PresentedCredential): Promise<Authentication> {
    if (authorization === undefined) return {};
    const principal = this.callers[authorization.replace('Bearer ', '')];
    if (principal === undefined) throw new MuonError('UNAUTHENTICATED', 'There is no such caller.');
    return { principal };
  }

  async findInvalid(): Promise<Authentication[]> {
    return [];
  }
}

const ROUNDS_UNTIL_COMPILED = 4;
const COMPILE_PAUSE_MS = 120;

/** Serves these resolvers on a free port; fails when a part of their schema has no description. */
export async function testApi(options: TestApiOptions): Promise<TestApi> {
  const { graphqlModule } = await import('#graphql/api');
  const { assertDescribed } = await import('#graphql');
  const { GraphQLSchemaHost } = await import('@nestjs/graphql');
  const { printSchema } = await import('graphql');
  const authenticator = { provide: NamedCallers, useValue: new NamedCallers(options.callers) };
  const providers = [authenticator, ...options.services.map((service) => ({ provide: service.constructor, useValue: service }))];

  @Module({ providers, exports: providers })
  class ServicesModule {}

  const graphql = graphqlModule({
    imports: [ServicesModule],
    authenticator: NamedCallers,
    logger: options.log,
    limits: { compileUtilization: 1 },
  });

  @Module({ imports: [ServicesModule, graphql], providers: [...options.resolvers] })
  class ApiModule {}

  const app = await NestFactory.create<NestFastifyApplication>(ApiModule, new FastifyAdapter(), { logger: false, abortOnError: false });
  await app.listen(0, '127.0.0.1');
  const { schema } = app.get(GraphQLSchemaHost, { strict: false });
  assertDescribed(schema);
  const url = `${await app.getUrl()}/graphql`;

  const api: TestApi = {
    url,
    schema: printSchema(schema),
    async ask(caller, query, variables, headers) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${caller}`, ...headers },
        body: JSON.stringify({ query, variables }),
      });
      return (await response.json()) as TestAnswer<never>;
    },
    async data(caller, query, variables) {
      const answer = await api.ask<never>(caller, query, variables);
      if (answer.errors !== undefined) throw new Error(JSON.stringify(answer.errors));
      return answer.data;
    },
    async compiled(caller, query, variables) {
      for (let round = 0; round < ROUNDS_UNTIL_COMPILED; round += 1) await api.data(caller, query, variables);
      // A process without any pause puts compiling off by 50 ms.
      await new Promise((resolve) => setTimeout(resolve, COMPILE_PAUSE_MS));
      return api.data(caller, query, variables);
    },
    close: () => app.close(),
  };
  return api;
}

const COUNTS = 3;

/**
 * How many statements that return rows the work sends: a list must not send more for more rows. The least of some tries,
 * as engines and reconcilers of the same bench go on meanwhile and can only add.
 */
export async function countStatements(database: Database, work: () => Promise<unknown>): Promise<number> {
  const rows = database.rows.bind(database);
  let count = 0;
  const counting = (...query: Parameters<typeof rows>): Promise<unknown[]> => {
    count += 1;
    return rows(...query);
  };
  let least = Infinity;
  Object.assign(database, { rows: counting });
  try {
    for (let run = 0; run < COUNTS; run += 1) {
      count = 0;
      await work();
      least = Math.min(least, count);
    }
  } finally {
    // The method of the class shows again.
    Reflect.deleteProperty(database, 'rows');
  }
  return least;
}
