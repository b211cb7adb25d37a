import { Catch, type ArgumentsHost, type DynamicModule, type InjectionToken, type ModuleMetadata } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, BaseExceptionFilter, DiscoveryModule } from '@nestjs/core';
import { GraphQLModule } from '@nestjs/graphql';
import type { MercuriusDriverConfig } from '@nestjs/mercurius';
import type { Logger } from '#core';
import { AccessGuard } from '../access.js';
import type { Authenticator, RequestMeter } from '../context.js';
import { DEFAULT_LIMITS, type GraphqlLimits } from '../limits/limits.js';
import { NodeRegistry, NodeResolver } from '../relay/node.js';
import { DateTime } from '../scalars.js';
import { AccessCheck } from './access-check.js';
import { GraphqlServerDriver, SERVER_PARTS, type ServerParts } from './driver.js';
import type { GraphiqlOptions } from './graphiql.js';
import { prepareSchema } from './schema-preparation.js';

export interface GraphqlModuleOptions {
  /** The token under which `imports` export the app's Authenticator. */
  authenticator: InjectionToken<Authenticator>;
  /** The token under which they export who counts what requests cost; nobody does if not given. */
  meter?: InjectionToken<RequestMeter>;
  imports?: NonNullable<ModuleMetadata['imports']>;
  logger: Logger;
  /** Where POST, GET and sockets are served; `/graphql` if not given. */
  path?: string;
  limits?: Partial<GraphqlLimits>;
  /** Where to write the schema as text at start; for `npm run generate`. */
  schemaFile?: string;
  /** Serves GraphiQL at `/graphiql`; off if not given. */
  graphiql?: GraphiqlOptions | false;
}

/** Lets errors of resolvers through to the engine, which maps and logs them; Nest's own filter would log each as a fault. */
@Catch()
class PassOnFilter extends BaseExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): void {
    if (host.getType<string>() === 'graphql') throw error;
    super.catch(error, host);
  }
}

class GraphqlPartsModule {}
class GraphqlServerModule {}

/**
 * The GraphQL server of an app on the Fastify platform: the schema of all resolvers the app loads, over HTTP and
 * WebSocket, denying by default. Rooms inject NodeRegistry from it.
 */
export function graphqlModule(options: GraphqlModuleOptions): DynamicModule {
  const { authenticator, meter, imports = [], logger, limits, graphiql = false, path = '/graphql', schemaFile } = options;
  const config: Omit<MercuriusDriverConfig, 'driver'> = {
    path,
    autoSchemaFile: schemaFile ?? true,
    sortSchema: true,
    buildSchemaOptions: { scalarsMap: [{ type: Date, scalar: DateTime }], noDuplicatedFields: true, addNewlineAtEnd: true },
    transformSchema: prepareSchema,
    transformAutoSchemaFile: true,
  };
  const parts: DynamicModule = {
    module: GraphqlPartsModule,
    imports,
    providers: [
      {
        provide: SERVER_PARTS,
        useFactory: (given: Authenticator, counting?: RequestMeter): ServerParts => ({
          authenticator: given,
          meter: counting,
          logger,
          limits: { ...DEFAULT_LIMITS, ...limits },
          graphiql,
        }),
        inject: meter === undefined ? [authenticator] : [authenticator, meter],
      },
    ],
    exports: [SERVER_PARTS],
  };
  return {
    module: GraphqlServerModule,
    global: true,
    imports: [
      DiscoveryModule,
      GraphQLModule.forRootAsync<MercuriusDriverConfig>({ driver: GraphqlServerDriver, imports: [parts], useFactory: () => config }),
    ],
    providers: [
      AccessCheck,
      NodeRegistry,
      NodeResolver,
      { provide: APP_GUARD, useClass: AccessGuard },
      { provide: APP_FILTER, useClass: PassOnFilter },
    ],
    exports: [NodeRegistry, GraphQLModule],
  };
}
