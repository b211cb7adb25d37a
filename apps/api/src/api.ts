import { Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { EVENT_VISIBILITY, eventsResolvers } from '#events/api';
import { graphqlModule } from '#graphql/api';
import { BearerAuthenticator, GrantedEvents, identityResolvers } from '#identity/api';
import type { House } from '../../composition/src/house.js';

export interface ApiOptions {
  host: string;
  port: number;
  /** Serves GraphiQL; with a token, that is prefilled. */
  graphiql: { token?: string } | false;
  /** Writes the schema here and serves it as well. */
  schemaFile?: string;
}

export interface RunningApi {
  readonly url: string;
  close(): Promise<void>;
}

const resolvers = [...eventsResolvers, ...identityResolvers];

/** Starts the API on the house's services. */
export async function startApi(house: House, options: ApiOptions): Promise<RunningApi> {
  const services = house.services.map((service) => ({ provide: service.constructor, useValue: service }));
  const providers: Provider[] = [...services, BearerAuthenticator, { provide: EVENT_VISIBILITY, useClass: GrantedEvents }];

  @Module({ providers, exports: providers })
  class ServicesModule {}

  const graphql = graphqlModule({
    imports: [ServicesModule],
    authenticator: BearerAuthenticator,
    logger: house.log,
    graphiql: options.graphiql,
    ...(options.schemaFile === undefined ? {} : { schemaFile: options.schemaFile }),
  });

  @Module({ imports: [ServicesModule, graphql], providers: resolvers })
  class ApiModule {}

  const app = await NestFactory.create<NestFastifyApplication>(ApiModule, new FastifyAdapter({ bodyLimit: 1024 * 1024 }), {
    logger: false,
    abortOnError: false,
  });
  await house.feed.initialise();
  await app.listen(options.port, options.host);
  return { url: await app.getUrl(), close: () => app.close() };
}
