import { isObjectType, type GraphQLSchema } from '../graphql-js.js';

const ROOT_DESCRIPTIONS: Record<string, string> = {
  Query: 'What can be read.',
  Mutation: 'What can be changed. Each field takes one input and says what became of it.',
  Subscription: 'What can be watched, over WebSocket.',
};

/**
 * Finishes the schema that Nest builds: describes the root types, which have no class to carry a description, and takes
 * away the reader function that Nest puts on every plain field, because compiled queries read a property far faster than
 * they call a function.
 */
export function prepareSchema(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    type.description ??= ROOT_DESCRIPTIONS[type.name];
    for (const field of Object.values(type.getFields())) {
      if (readsItsOwnProperty(field.name, field.resolve as Reader | undefined)) delete field.resolve;
    }
  }
  return schema;
}

type Reader = (parent: object) => unknown;

/**
 * Nest's reader goes by this name; of those, one for a renamed property or with a default is told by what it reads. No
 * resolver of ours is ever called here.
 */
function readsItsOwnProperty(name: string, reader: Reader | undefined): boolean {
  if (reader?.name !== 'rootFieldResolver') return false;
  const marker = {};
  return reader({ [name]: marker }) === marker && reader({}) === undefined;
}
