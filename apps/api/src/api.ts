import { Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { clustersResolvers } from '#clusters/api';
import { computeResolvers } from '#compute/api';
import { sleep } from '#core';
import { EVENT_VISIBILITY, eventsResolvers } from '#events/api';
import { graphqlModule } from '#graphql/api';
import { publicIssuers } from '#identity';
import { BearerAuthenticator, BudgetMeter, GrantedEvents, identityResolvers } from '#identity/api';
import { infrastructureResolvers } from '#infrastructure/api';
import { networkResolvers } from '#network/api';
import { operationsResolvers } from '#operations/api';
import { placementResolvers } from '#placement/api';
import { quotaResolvers } from '#quota/api';
import { storageResolvers } from '#storage/api';
import { tenancyResolvers } from '#tenancy/api';
import { Health } from '../../composition/src/health.js';
import type { House } from '../../composition/src/house.js';
import { FIRST_QUERIES } from './first-queries.js';

export interface ApiOptions {
  host: string;
  port: number;
  /** Networks of the balancers in front, whose word on where a request comes from is taken. */
  trustedProxies: readonly string[];
  /** Serves GraphiQL; with a token, that is prefilled. */
  graphiql: { token?: string } | false;
  /** How long it serves on when it is closed, not ready any more, so that balancers look elsewhere first; none without it. */
  shutdownDelayMs?: number;
  /** Writes the schema here and serves it as well. */
  schemaFile?: string;
}

export interface RunningApi {
  readonly url: string;
  close(): Promise<void>;
}

const resolvers = [...eventsResolvers, ...identityResolvers, ...quotaResolvers, ...operationsResolvers, ...infrastructureResolvers, ...tenancyResolvers, ...placementResolvers, ...networkResolvers, ...storageResolvers, ...computeResolvers, ...clustersResolvers];

/** Starts the API on the house's services. */
export async function startApi(house: House, options: ApiOptions): Promise<RunningApi> {
  const services = house.services.map((service) => ({ provide: service.constructor, useValue: service }));
  const providers: Provider[] = [...services, BearerAuthenticator, BudgetMeter, { provide: EVENT_VISIBILITY, useClass: GrantedEvents }];

  @Module({ providers, exports: providers })
  class ServicesModule {}

  const graphql = graphqlModule({
    imports: [ServicesModule],
    authenticator: BearerAuthenticator,
    meter: BudgetMeter,
    logger: house.log,
    graphiql: options.graphiql && { ...options.graphiql, defaultQuery: FIRST_QUERIES },
    ...(options.schemaFile === undefined ? {} : { schemaFile: options.schemaFile }),
  });

  @Module({ imports: [ServicesModule, graphql], providers: resolvers })
  class ApiModule {}

  const app = await NestFactory.create<NestFastifyApplication>(ApiModule, new FastifyAdapter({ bodyLimit: 1024 * 1024, trustProxy: [...options.trustedProxies] }), {
    logger: false,
    abortOnError: false,
  });
  const health = new Health(house);
  serveHealth(app, health);
  serveDiscovery(app, house);
  await house.feed.initialise();
  await app.listen(options.port, options.host);
  return { url: await app.getUrl(), close: () => closing(app, health, options.shutdownDelayMs ?? 0) };
}

/** Health and metrics beside the API, and the time of every request. */
function serveHealth(app: NestFastifyApplication, health: Health): void {
  const fastify = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  fastify.addHook('onResponse', async (_request, reply) => {
    health.requestSeconds.observe({ status: String(reply.statusCode) }, reply.elapsedTime / 1000);
  });
  for (const path of ['/livez', '/readyz', '/metrics']) {
    fastify.get(path, async (_request, reply) => {
      const answer = await health.answer(path);
      return reply.code(answer?.status ?? 404).header('content-type', answer?.contentType ?? 'text/plain').send(answer?.body ?? '');
    });
  }
}

/**
 * `/.well-known/muon`: where programs send people to sign in. Public, so it names the issuers of the system only, and of
 * them only what a sign-in begins with.
 */
function serveDiscovery(app: NestFastifyApplication, { database }: House): void {
  const fastify = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  fastify.get('/.well-known/muon', async (_request, reply) => {
    const issuers = await database.rows(publicIssuers);
    return reply
      .header('cache-control', 'max-age=60')
      .send({ issuers: issuers.map(({ name, url, audience, client_id: clientId }) => ({ name, url, audience, clientId })) });
  });
}

/** Not ready first, so that balancers send nothing new; then what is under way ends. */
async function closing(app: NestFastifyApplication, health: Health, delayMs: number): Promise<void> {
  health.startDraining();
  await sleep(delayMs);
  await app.close();
}

