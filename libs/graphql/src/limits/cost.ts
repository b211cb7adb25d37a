import {
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from '../graphql-js.js';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../relay/page-arguments.js';

/** What a whole schema costs to read; two in one request are borne, a flood of aliases is not. */
const SCHEMA_COST = 3000;
/** What one type costs to read through introspection. */
const TYPE_COST = 50;

/** What a request costs besides its fields: the least is enough that many small ones are felt, too. */
const QUERY_COST = 10;
const MUTATION_COST = 100;

/** What a request takes from its caller's budget: its fields, and a mutation more than a query. */
export function requestCost(operation: OperationDefinitionNode, fields: number): number {
  return fields + (operation.operation === 'mutation' ? MUTATION_COST : QUERY_COST);
}

/** What a selection costs: once, and again for every row of the connection it stands in. */
interface Cost {
  once: number;
  perRow: number;
}

/**
 * An upper bound for the number of fields in the answer: each field is one, and what stands below `edges` or `nodes` of
 * a connection counts as often as the page has rows. Read off the validated document and the variables before anything
 * runs. Each fragment is costed once, so the work is bounded by the document's length whatever the answer would be.
 */
export function operationCost(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): number {
  const meter = new CostMeter(schema, document, withDefaults(operation, variables));
  return meter.ofSelections(operation.selectionSet, schema.getRootType(operation.operation) ?? undefined).once;
}

class CostMeter {
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  readonly #measured = new Map<string, Cost>();

  constructor(
    private readonly schema: GraphQLSchema,
    document: DocumentNode,
    private readonly variables: Readonly<Record<string, unknown>>,
  ) {
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(definition.name.value, definition);
    }
  }

  ofSelections(selectionSet: SelectionSetNode, type: GraphQLNamedType | undefined): Cost {
    const cost = { once: 0, perRow: 0 };
    for (const selection of selectionSet.selections) {
      if (selection.kind === Kind.FIELD) {
        const isRow = isConnection(type) && (selection.name.value === 'edges' || selection.name.value === 'nodes');
        cost[isRow ? 'perRow' : 'once'] += this.#ofField(selection, type);
        continue;
      }
      const inner =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? this.#ofFragment(selection.name.value)
          : this.ofSelections(selection.selectionSet, this.#conditionType(selection.typeCondition?.name.value) ?? type);
      cost.once += inner.once;
      cost.perRow += inner.perRow;
    }
    return cost;
  }

  #ofFragment(name: string): Cost {
    let cost = this.#measured.get(name);
    if (cost === undefined) {
      const fragment = this.#fragments.get(name);
      if (fragment === undefined) return { once: 0, perRow: 0 };
      cost = this.ofSelections(fragment.selectionSet, this.#conditionType(fragment.typeCondition.name.value));
      this.#measured.set(name, cost);
    }
    return cost;
  }

  #ofField(field: FieldNode, parent: GraphQLNamedType | undefined): number {
    const name = field.name.value;
    if (name === '__schema') return SCHEMA_COST;
    if (name === '__type') return TYPE_COST;
    if (field.selectionSet === undefined) return 1;
    const definition = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
    const inner = this.ofSelections(field.selectionSet, definition === undefined ? undefined : getNamedType(definition.type));
    return 1 + this.#listLength(field) * inner.once + this.#pageSize(field) * inner.perRow;
  }

  /** A field that takes `ids` answers as many; plain lists are short by design and count once. */
  #listLength(field: FieldNode): number {
    const ids = this.#argument(field, 'ids');
    return Array.isArray(ids) ? Math.max(1, ids.length) : 1;
  }

  #pageSize(field: FieldNode): number {
    const size = this.#argument(field, 'first') ?? this.#argument(field, 'last') ?? DEFAULT_PAGE_SIZE;
    return typeof size === 'number' && size > 0 ? Math.min(size, MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
  }

  #argument(field: FieldNode, name: string): unknown {
    const value = field.arguments?.find((argument) => argument.name.value === name)?.value;
    return value?.kind === Kind.VARIABLE ? this.variables[value.name.value] : literal(value);
  }

  #conditionType(name: string | undefined): GraphQLNamedType | undefined {
    return name === undefined ? undefined : this.schema.getType(name);
  }
}

function literal(value: ValueNode | undefined): unknown {
  if (value?.kind === Kind.INT) return Number(value.value);
  return value?.kind === Kind.LIST ? value.values : undefined;
}

function withDefaults(operation: OperationDefinitionNode, variables: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const values = { ...variables };
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    if (values[variable.name.value] === undefined) values[variable.name.value] = literal(defaultValue);
  }
  return values;
}

function isConnection(type: GraphQLNamedType | undefined): boolean {
  return isObjectType(type) && type.name.endsWith('Connection') && type.getFields()['pageInfo'] !== undefined;
}
