import {
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';

/** What is known of the tenant that is to stay unseen: ids by table, and names. */
export interface Target {
  ids: ReadonlyMap<string, string>;
  /** An id of the table's kind: the target's own, or for comparison one that nothing has. */
  id(table: string): string;
  name: string;
}

/** One way to call a field: its document and its variables. */
export interface Call {
  field: string;
  query: string;
  variables: Record<string, unknown>;
  label: string;
}

/** Optional inputs of which a field wants several at once. */
const TOGETHER: Readonly<Record<string, readonly string[]>> = {
  grantRole: ['input.principalId', 'input.role'],
  explainFirewall: ['input.fromAddress', 'input.toPortId'],
};

interface Slot {
  path: string;
  type: GraphQLInputType;
  required: boolean;
}

/** Which of its optional inputs, and which id where the kind is not told by a name. */
interface Choice {
  optional: string | undefined;
  anyId: string | undefined;
  unique: string;
  /** Paths of optional inputs that are always given. */
  always: readonly string[];
}

const plain = (text: string): string => text.replaceAll('_', '').toLowerCase();

/** Tables whose noun is the end of a word, the longest first: `fromProjectIds` speaks of projects. */
function tableOf(word: string, target: Target): string | undefined {
  const wanted = plain(word);
  const tables = [...target.ids.keys()].filter((table) => wanted.endsWith(plain(table)));
  return tables.sort((one, other) => other.length - one.length)[0];
}

/** The kind that an id is of, by its own name or else by its field's; undefined when neither tells. */
function kindOf(name: string, field: string, target: Target): string | undefined {
  const word = name.replace(/Ids?$/, '');
  return /^ids?$/i.test(word) ? tableOf(field.replace(/s$/, ''), target) : tableOf(word, target);
}

function leaf(name: string, typeName: string, field: string, target: Target, choice: Choice): unknown {
  switch (typeName) {
    case 'ID':
      return target.id(kindOf(name, field, target) ?? choice.anyId ?? 'project');
    case 'Boolean':
      return true;
    case 'Int':
    case 'Float':
    case 'Long':
      return /mib/i.test(name) ? 64 : 2;
    case 'DateTime':
      return /^(to|until|before)$/i.test(name) ? '2026-01-02T00:00:00Z' : '2026-01-01T00:00:00Z';
    case 'JSONObject':
      return {};
    case 'Cursor':
      return undefined;
    default:
      return text(name, target, choice);
  }
}

function text(name: string, target: Target, choice: Choice): unknown {
  if (/cidr/i.test(name)) return '10.99.0.0/24';
  if (/address|gateway|^(from|to|start|end)$/i.test(name)) return '10.99.0.7';
  if (/endpoint|url/i.test(name)) return 'http://127.0.0.1:9/';
  if (/key/i.test(name)) return 'vm.count';
  if (/kind/i.test(name)) return 'simulated';
  if (/^name$/i.test(name)) return choice.unique === '' ? target.name : choice.unique;
  if (/^(flavor)$/i.test(name)) return 'small';
  if (/^(image)$/i.test(name)) return 'debian-12';
  if (/^(storagePolicy)$/i.test(name)) return 'usual';
  if (name === 'release') return '1.34.2';
  if (/zone/i.test(name)) return 'north';
  return target.name;
}

function fill(slot: Slot, name: string, field: string, target: Target, choice: Choice): unknown {
  const { type } = slot;
  if (isNonNullType(type)) return fill({ ...slot, type: type.ofType }, name, field, target, choice);
  if (isListType(type)) {
    const item = fill({ ...slot, type: type.ofType }, name.replace(/s$/, ''), field, target, choice);
    return item === undefined ? [] : [item];
  }
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (!isInputObjectType(type)) return leaf(name, type.name, field, target, choice);
  const filled: Record<string, unknown> = {};
  const fields = type.getFields();
  // Where all is optional, one of several is wanted: a name does best.
  const hint = Object.values(fields).some(isRequiredInputField) ? undefined : fields['name'];
  for (const each of Object.values(fields)) {
    const path = `${slot.path}.${each.name}`;
    const wanted = choice.always.includes(path) || choice.optional === path;
    if (!isRequiredInputField(each) && each !== hint && !wanted && !(choice.optional ?? '').startsWith(`${path}.`)) continue;
    filled[each.name] = fill({ path, type: each.type, required: true }, each.name, field, target, choice);
  }
  return filled;
}

/** Every optional input of a field, one level into its input objects. */
function optionals(field: GraphQLField<unknown, unknown>): string[] {
  return field.args.flatMap((argument) => {
    const type = getNamedType(argument.type);
    const inner = isInputObjectType(type)
      ? Object.values(type.getFields()).flatMap((each) => (isRequiredInputField(each) ? [] : [`${argument.name}.${each.name}`]))
      : [];
    return isRequiredArgument(argument) ? inner : [argument.name, ...inner];
  });
}

/** Whether an id is asked for whose kind no name tells: then every kind is tried. */
function hasOpenId(field: GraphQLField<unknown, unknown>, target: Target): boolean {
  const open = (name: string, type: GraphQLInputType): boolean => {
    const named = getNamedType(type);
    if (isInputObjectType(named)) return Object.values(named.getFields()).some((each) => open(each.name, each.type));
    return named.name === 'ID' && kindOf(name, field.name, target) === undefined;
  };
  return field.args.some((argument) => open(argument.name, argument.type));
}

/** Leaves of a type and, to the depth, of what hangs on it. */
export function selection(schema: GraphQLSchema, output: GraphQLOutputType, depth = 2): string {
  const type = getNamedType(output);
  if (isLeafType(type)) return '';
  const parts = ['__typename'];
  if (isAbstractType(type)) {
    for (const each of schema.getPossibleTypes(type)) {
      const leaves = Object.values(each.getFields()).filter((field) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument));
      parts.push(`... on ${each.name} { ${leaves.map((field) => `${each.name}_${field.name}: ${field.name}`).join(' ')} }`);
    }
  } else if (isObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      if (field.args.some(isRequiredArgument)) continue;
      if (isLeafType(getNamedType(field.type))) parts.push(field.name);
      else if (field.name === 'nodes') parts.push(`nodes ${selection(schema, field.type, 1)}`);
      else if (depth > 1 && !getNamedType(field.type).name.endsWith('Connection') && field.name !== 'edges') {
        parts.push(`${field.name} ${selection(schema, field.type, depth - 1)}`);
      }
    }
  }
  return `{ ${parts.join(' ')} }`;
}

/** Every way in which a stranger would try a field; the target's ids and names are in each that takes any. */
export function callsOf(
  schema: GraphQLSchema,
  root: 'query' | 'mutation' | 'subscription',
  target: Target,
  unique: (field: string) => string,
  select: (output: GraphQLOutputType) => string = (output) => selection(schema, output),
): Call[] {
  const type = { query: schema.getQueryType(), mutation: schema.getMutationType(), subscription: schema.getSubscriptionType() }[root];
  return Object.values(type?.getFields() ?? {}).flatMap((field) => {
    const anyIds = hasOpenId(field, target) ? [...target.ids.keys()] : [undefined];
    const ways: Omit<Choice, 'unique' | 'always'>[] = [
      ...anyIds.map((anyId) => ({ optional: undefined, anyId })),
      ...optionals(field).flatMap((optional) => (/\bid$|Ids?$/.test(optional) ? anyIds : anyIds.slice(0, 1)).map((anyId) => ({ optional, anyId }))),
    ];
    const seen = new Set<string>();
    return ways.flatMap((way) => {
      const choice: Choice = { ...way, unique: root === 'mutation' ? unique(field.name) : '', always: TOGETHER[field.name] ?? [] };
      const given = field.args.filter((each) => isRequiredArgument(each) || way.optional?.split('.')[0] === each.name);
      const declared = given.map((each) => `$${each.name}: ${String(each.type)}`).join(', ');
      const passed = given.map((each) => `${each.name}: $${each.name}`).join(', ');
      const variables = Object.fromEntries(
        given.map((each) => [each.name, fill({ path: each.name, type: each.type, required: true }, each.name, field.name, target, choice)]),
      );
      const query = `${root}${declared === '' ? '' : ` (${declared})`} { ${field.name}${passed === '' ? '' : `(${passed})`} ${select(field.type)} }`;
      // The same but for the fresh name: a kind of id that none of the given inputs takes.
      const key = JSON.stringify([query, variables]).replaceAll(choice.unique || '\0', '');
      if (seen.has(key)) return [];
      seen.add(key);
      return [{ field: field.name, query, variables, label: `${field.name} ${JSON.stringify(variables)}` }];
    });
  });
}
