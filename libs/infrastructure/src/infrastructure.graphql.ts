import { registerEnumType } from '@nestjs/graphql';
import type { ListSource } from '#events/api';
import type { GraphqlContext } from '#graphql';
import type { CommandOptions } from '#identity';
import { accessOf } from '#identity/api';
import { Health } from './backend/backend.js';
import { CatalogueState } from './zone/zone.js';

registerEnumType(CatalogueState, {
  name: 'InfrastructureState',
  description: 'Whether a zone, rack or backend takes newcomers.',
  valuesMap: {
    ACTIVE: { description: 'It does.' },
    PENDING_DELETE: { description: 'It was deleted while in use: it takes nothing new and goes with its last user.' },
  },
});
registerEnumType(Health, {
  name: 'Health',
  description: 'Whether something answers.',
  valuesMap: {
    UNKNOWN: { description: 'It has not been asked yet, or who could tell does not answer.' },
    UP: { description: 'It answers.' },
    DOWN: { description: 'It has been silent for longer than the threshold.' },
  },
});

/** Backends, hosts and datastores are shown to those who may read the system. */
export function seesInfrastructure(context: GraphqlContext): boolean {
  return accessOf(context).seesInfrastructure;
}

/** The list, or an empty one for whoever may not see such things at all. */
export function onlyOperators<Row>(context: GraphqlContext, source: ListSource<Row>): ListSource<Row> {
  if (seesInfrastructure(context)) return source;
  return {
    page: async () => ({ rows: [], cursors: [], hasNextPage: false, hasPreviousPage: false }),
    count: async () => 0,
  };
}

type Given<Input, Kept extends keyof Input = never> = {
  -readonly [Key in keyof Input]: Key extends Kept ? Input[Key] : Exclude<Input[Key], null>;
};

/** Nulls as if they were not given, except where null says something. */
export function given<Input extends object, Kept extends keyof Input = never>(input: Input, kept: readonly Kept[] = []): Given<Input, Kept> {
  const entries = Object.entries(input).filter(([key, value]) => value !== undefined && (value !== null || kept.includes(key as Kept)));
  return Object.fromEntries(entries) as Given<Input, Kept>;
}

/** A mutation's input as its service takes it: how it is to be run apart from what. */
export function commandOf<Input extends { readonly dryRun?: boolean | null }, Kept extends Exclude<keyof Input, 'dryRun'> = never>(
  input: Input,
  context: GraphqlContext,
  kept: readonly Kept[] = [],
): { command: Given<Omit<Input, 'dryRun'>, Kept>; options: CommandOptions } {
  const { dryRun, ...rest } = input;
  return { command: given(rest, kept), options: { dryRun: dryRun === true, idempotencyKey: context.idempotencyKey } };
}
