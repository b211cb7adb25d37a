import {
  getNamedType,
  isAbstractType,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';
import type { WireAnswer } from './client.js';
import type { Answered } from './two-tenants.js';

/** What a caller gets at a field, from the best that any call of it got. */
export const Cell = {
  /** It is answered, or done. */
  YES: '●',
  /** It is answered, with less than the system's owner gets: null, or an empty list. */
  LESS: '○',
  /** FORBIDDEN: it may be seen, not done. */
  FORBIDDEN: '✕',
  /** NOT_FOUND: it does not exist for this caller. */
  UNSEEN: '·',
  /** UNAUTHENTICATED. */
  NOBODY: '–',
} as const;
export type Cell = (typeof Cell)[keyof typeof Cell];

const BEST_FIRST: readonly Cell[] = [Cell.YES, Cell.LESS, Cell.FORBIDDEN, Cell.UNSEEN, Cell.NOBODY];

export function best(cells: readonly Cell[]): Cell | undefined {
  return BEST_FIRST.find((cell) => cells.includes(cell));
}

const ROOTS = new Set(['Query', 'Mutation', 'Subscription']);
const DEPTH = 3;

/** Everything of a type that can be asked for without arguments, some levels deep; of what may be any node, at the top only. */
export function everything(schema: GraphQLSchema, output: GraphQLOutputType, depth = DEPTH, levels = depth): string {
  const type = getNamedType(output);
  if (isLeafType(type)) return '';
  if (isInterfaceType(type) && depth < levels) return `{ ${['__typename', ...leavesOf(type)].join(' ')} }`;
  if (isAbstractType(type)) {
    const parts = schema.getPossibleTypes(type).map((each) => `... on ${each.name} { ${leavesOf(each).map((name) => `${each.name}_${name}: ${name}`).join(' ')} }`);
    return `{ __typename ${parts.join(' ')} }`;
  }
  if (!isObjectType(type)) return '';
  const inner = Object.values(type.getFields()).flatMap((field) => {
    const of = getNamedType(field.type);
    if (isLeafType(of) || field.args.some(isRequiredArgument) || depth === 0) return [];
    // A list within a thing: some of it, and no more of each than its leaves.
    const within = of.name.endsWith('Connection') && field.args.some((argument) => argument.name === 'first');
    return [`${field.name}${within ? '(first: 2)' : ''} ${everything(schema, field.type, within ? Math.min(1, depth - 1) : depth - 1, levels)}`];
  });
  return `{ ${['__typename', ...leavesOf(type), ...inner].join(' ')} }`;
}

function leavesOf(type: GraphQLObjectType | GraphQLInterfaceType): string[] {
  return Object.values(type.getFields())
    .filter((field) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument))
    .map((field) => field.name);
}

/** Codes of refusals that come only when the right is there. */
const AFTER_RIGHTS: ReadonlySet<string> = new Set([
  'ALREADY_EXISTS',
  'CONFLICT',
  'INVALID_STATE',
  'RESOURCE_BUSY',
  'QUOTA_EXCEEDED',
  'INSUFFICIENT_CAPACITY',
  'UNSUPPORTED',
  'PLAN_STALE',
  'UNAVAILABLE',
]);
const ABOUT_RIGHTS: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND', 'INVALID_INPUT']);

/** Errors that no call of the matrix may meet: defects, and questions that are too large or not well asked. */
export function unexpected(answer: WireAnswer): string[] {
  const wrong = answer.errors.filter(({ path, extensions: { code } }) => (path?.length ?? 0) > 1 || !(AFTER_RIGHTS.has(code) || ABOUT_RIGHTS.has(code)));
  return wrong.map((error) => `${error.extensions.code} at ${error.path?.join('.') ?? ''}: ${error.message}`);
}

/** Lists that count more than they show, though they show all: the rest would be somebody else's. */
export function overcounted(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value).reduce<number>((sum, each) => sum + overcounted(each), 0);
  const { totalCount, nodes, pageInfo } = value as { totalCount?: unknown; nodes?: unknown[]; pageInfo?: { hasNextPage?: boolean; hasPreviousPage?: boolean } };
  if (typeof totalCount !== 'number' || nodes === undefined || pageInfo?.hasNextPage !== false || pageInfo.hasPreviousPage !== false) return inner;
  return inner + (totalCount === nodes.length ? 0 : 1);
}

/** The outcome of a call for the table; undefined when it was refused for its form, which says nothing about rights. */
export function outcomeOf({ answer }: Pick<Answered, 'answer'>): Cell | undefined {
  const codes = answer.errors.map((error) => error.extensions.code);
  if (codes.includes('UNAUTHENTICATED')) return Cell.NOBODY;
  if (codes.includes('FORBIDDEN')) return Cell.FORBIDDEN;
  if (codes.includes('NOT_FOUND')) return Cell.UNSEEN;
  if (codes.includes('INVALID_INPUT')) return undefined;
  if (codes.length > 0) return codes.every((code) => AFTER_RIGHTS.has(code)) ? Cell.YES : undefined;
  return Object.values(answer.data ?? {}).every(isEmpty) ? Cell.LESS : Cell.YES;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (Array.isArray(value)) return value.every(isEmpty);
  if (typeof value !== 'object') return false;
  return 'nodes' in value && isEmpty(value.nodes);
}

/** Which fields of which types a caller was shown, and whether there was something in them. */
export class Sightings {
  /** By `Type.field`, and there by the object: the nearest id above it and the way from there. */
  private readonly seen = new Map<string, Map<string, boolean>>();

  constructor(private readonly schema: GraphQLSchema) {}

  add(label: string, answer: WireAnswer): void {
    for (const [field, value] of Object.entries(answer.data ?? {})) this.walk(value, `${label}/${field}`);
  }

  get fields(): ReadonlySet<string> {
    return new Set(this.seen.keys());
  }

  /** @param owner the sightings of whoever sees all */
  cell(field: string, owner: Sightings): Cell {
    const own = this.seen.get(field);
    if (own === undefined) return Cell.UNSEEN;
    const theirs = owner.seen.get(field);
    const hidden = [...own].filter(([place, filled]) => !filled && theirs?.get(place) === true);
    return hidden.length > 0 && ![...own.values()].includes(true) ? Cell.LESS : Cell.YES;
  }

  private walk(value: unknown, place: string): void {
    if (Array.isArray(value)) {
      for (const [index, each] of value.entries()) this.walk(each, `${place}.${index}`);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    const object = value as Record<string, unknown>;
    const typeName = object['__typename'];
    if (typeof typeName !== 'string' || !isObjectType(this.schema.getType(typeName))) return;
    const id = object['id'] ?? object[`${typeName}_id`];
    const here = typeof id === 'string' ? id : place;
    for (const [key, inner] of Object.entries(object)) {
      const name = key.startsWith(`${typeName}_`) ? key.slice(typeName.length + 1) : key;
      if (name === '__typename') continue;
      this.note(`${typeName}.${name}`, here, !(inner === null || (Array.isArray(inner) && inner.length === 0)));
      this.walk(inner, `${here}.${name}`);
    }
  }

  private note(field: string, place: string, filled: boolean): void {
    const places = this.seen.get(field) ?? new Map<string, boolean>();
    this.seen.set(field, places.set(place, filled || places.get(place) === true));
  }
}

/** Every `Type.field` of the schema but those of its roots. */
export function fieldsOfTypes(schema: GraphQLSchema): string[] {
  return Object.values(schema.getTypeMap())
    .filter((type): type is GraphQLObjectType => isObjectType(type) && !ROOTS.has(type.name) && !type.name.startsWith('__'))
    .flatMap((type) => Object.keys(type.getFields()).map((field) => `${type.name}.${field}`))
    .sort();
}

export interface Row {
  title: string;
  cells: Cell[];
}

const INTRODUCTION = `<!-- Written by test/acceptance/access-matrix.spec.ts from what a running system answers; do not edit. -->

# Who may do what

Every field of the API, called by everybody on the same tenant, and by a stranger who owns another one of much the same names.
After a change of rights: \`npm test -- test/acceptance/access-matrix -u\`, and read what has changed.

| | |
| --- | --- |
| ${Cell.YES} | answered, or done |
| ${Cell.LESS} | answered, but with less than the system's owner gets: null, or an empty list |
| ${Cell.FORBIDDEN} | FORBIDDEN: it may be seen, not done; the error names the roles that would do |
| ${Cell.UNSEEN} | NOT_FOUND: for this caller it does not exist |
| ${Cell.NOBODY} | UNAUTHENTICATED |
`;

/** The table that people read. @param columns names of the callers, with what each is */
export function render(
  columns: readonly { name: string; about: string }[],
  sections: { queries: readonly Row[]; mutations: readonly Row[]; subscriptions: readonly Row[]; types: ReadonlyMap<string, readonly Row[]> },
): string {
  const head = `| | ${columns.map((column) => column.name).join(' | ')} |\n| --- |${columns.map(() => ' :-: |').join('')}`;
  const line = (row: Row): string => `| ${row.title} | ${row.cells.join(' | ')} |`;
  const table = (rows: readonly Row[]): string => [head, ...rows.map(line)].join('\n');
  const callers = ['| caller | |', '| --- | --- |', ...columns.map(({ name, about }) => `| ${name} | ${about} |`)].join('\n');
  const types = [...sections.types].flatMap(([type, rows]) => alike(rows).map((row) => ({ ...row, title: `**${type}** ${row.title}` })));
  return [
    INTRODUCTION,
    callers,
    `\n## Queries\n\n${table(sections.queries)}`,
    `\n## Mutations\n\n${table(sections.mutations)}`,
    `\n## Subscriptions\n\n${table(sections.subscriptions)}`,
    `\n## Fields of what is seen\n\nFields of a type that are alike stand in one line.\n\n${table(types)}\n`,
  ].join('\n');
}

/** Rows that are alike as one, in the order of their first. */
function alike(rows: readonly Row[]): Row[] {
  const groups = Map.groupBy(rows, (row) => row.cells.join(''));
  return [...groups.values()].map((group) => ({ title: group.map((row) => row.title).join(', '), cells: group[0]?.cells ?? [] }));
}
