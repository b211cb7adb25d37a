import {
  getDirectiveValues,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  Kind,
  type FragmentDefinitionNode,
  type GraphQLResolveInfo,
  type SelectionNode,
  type SelectionSetNode,
} from './graphql-js.js';

/** The parts of the resolver's info that are read here; GraphQL JIT gives them too. */
export type SelectionInfo = Pick<GraphQLResolveInfo, 'fieldNodes' | 'fragments' | 'variableValues'>;

/**
 * The names of the fields selected directly below the field being resolved, whatever their aliases, through fragments,
 * and without those that `@skip` or `@include` take out. Lets a resolver leave out what costs: a total, a snapshot.
 */
export function requestedFields(info: SelectionInfo): ReadonlySet<string> {
  const names = new Set<string>();
  const fragments = new Set<FragmentDefinitionNode>();
  for (const node of info.fieldNodes) collect(node.selectionSet, info, names, fragments);
  return names;
}

function collect(
  selectionSet: SelectionSetNode | undefined,
  info: SelectionInfo,
  names: Set<string>,
  visited: Set<FragmentDefinitionNode>,
): void {
  for (const selection of selectionSet?.selections ?? []) {
    if (!isIncluded(selection, info)) continue;
    if (selection.kind === Kind.FIELD) {
      names.add(selection.name.value);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      collect(selection.selectionSet, info, names, visited);
    } else {
      const fragment = info.fragments[selection.name.value];
      if (fragment === undefined || visited.has(fragment)) continue;
      visited.add(fragment);
      collect(fragment.selectionSet, info, names, visited);
    }
  }
}

function isIncluded(selection: SelectionNode, info: SelectionInfo): boolean {
  if (selection.directives === undefined || selection.directives.length === 0) return true;
  if (getDirectiveValues(GraphQLSkipDirective, selection, info.variableValues)?.['if'] === true) return false;
  return getDirectiveValues(GraphQLIncludeDirective, selection, info.variableValues)?.['if'] !== false;
}
