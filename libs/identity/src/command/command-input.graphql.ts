import type { GraphqlContext } from '#graphql';
import type { CommandOptions } from './command-options.js';

/** How a mutation is to be run, from its input and the request. */
export function optionsOf(input: { readonly dryRun?: boolean | null }, context: GraphqlContext): CommandOptions {
  return { dryRun: input.dryRun === true, idempotencyKey: context.idempotencyKey };
}
