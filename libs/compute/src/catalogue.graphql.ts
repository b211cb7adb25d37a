import { registerEnumType } from '@nestjs/graphql';
import { CatalogueState } from './catalogue.js';

registerEnumType(CatalogueState, {
  name: 'OfferState',
  description: 'Whether a flavor or an image is on offer.',
  valuesMap: {
    ACTIVE: { description: 'It takes new machines.' },
    PENDING_DELETE: { description: 'It was deleted while machines used it: it takes no new ones and goes with the last.' },
  },
});

/** Optional inputs may be left out or null; services know the first only. */
export function withoutNulls<Input extends object>(input: Input): { [Key in keyof Input]: Exclude<Input[Key], null> } {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null)) as {
    [Key in keyof Input]: Exclude<Input[Key], null>;
  };
}
