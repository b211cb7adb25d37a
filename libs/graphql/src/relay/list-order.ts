import { registerEnumType } from '@nestjs/graphql';

const ListOrder = { CREATED: 'CREATED', NEWEST: 'NEWEST', NAME: 'NAME' } as const;
/** Orders of a list of what has an age and a name. */
export type ListOrder = (typeof ListOrder)[keyof typeof ListOrder];

/** The enum of these orders for one list. @param things what is listed, in the plural, as people call it */
export function listOrder(name: string, things: string): typeof ListOrder {
  const order = { ...ListOrder };
  registerEnumType(order, {
    name,
    description: `Orders of a list of ${things}.`,
    valuesMap: { CREATED: { description: 'The oldest first.' }, NEWEST: { description: 'The newest first.' }, NAME: { description: 'By name.' } },
  });
  return order;
}
