import { registerEnumType } from '@nestjs/graphql';
import type { ListSource } from '#events/api';
import type { GraphqlContext } from '#graphql';
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

export { commandOf, given } from '#identity/api';
