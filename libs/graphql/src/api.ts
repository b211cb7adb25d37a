/** What apps that serve the API use, besides what rooms use. */
export { DEFAULT_LIMITS, type GraphqlLimits } from './limits/limits.js';
export { WireCode, type FormattedError } from './server/errors.js';
export type { GraphiqlOptions } from './server/graphiql.js';
export { graphqlModule, type GraphqlModuleOptions } from './server/module.js';
