import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
  type GraphQLArgument,
  type GraphQLNamedType,
  type GraphQLSchema,
} from './graphql-js.js';

/**
 * For specs: fails when a type, field, argument, enum value or directive of the schema has no description.
 * @throws Error that names all of them.
 */
export function assertDescribed(schema: GraphQLSchema): void {
  const missing = undescribed(schema);
  if (missing.length > 0) throw new Error(`The schema has ${missing.length} parts without a description:\n  ${missing.join('\n  ')}`);
}

/** The coordinates of what lacks a description, as in `VirtualMachine.disks(first:)`. */
function undescribed(schema: GraphQLSchema): string[] {
  const types = Object.values(schema.getTypeMap()).filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type));
  const directives = schema.getDirectives().filter((directive) => !isSpecifiedDirective(directive));
  return [
    ...types.flatMap(undescribedInType),
    ...directives.flatMap((directive) => [
      ...(isBlank(directive) ? [`@${directive.name}`] : []),
      ...undescribedArguments(`@${directive.name}`, directive.args),
    ]),
  ];
}

function undescribedInType(type: GraphQLNamedType): string[] {
  const missing = isBlank(type) ? [type.name] : [];
  if (isEnumType(type)) {
    return [...missing, ...type.getValues().filter(isBlank).map((value) => `${type.name}.${value.name}`)];
  }
  if (isInputObjectType(type)) {
    return [...missing, ...Object.values(type.getFields()).filter(isBlank).map((field) => `${type.name}.${field.name}`)];
  }
  if (!('getFields' in type)) return missing;
  return [
    ...missing,
    ...Object.values(type.getFields()).flatMap((field) => {
      const name = `${type.name}.${field.name}`;
      return [...(isBlank(field) ? [name] : []), ...undescribedArguments(name, field.args)];
    }),
  ];
}

function undescribedArguments(owner: string, args: readonly GraphQLArgument[]): string[] {
  return args.filter(isBlank).map((argument) => `${owner}(${argument.name}:) of type ${getNamedType(argument.type).name}`);
}

function isBlank(part: { description?: string | null | undefined }): boolean {
  return part.description == null || part.description.trim() === '';
}
