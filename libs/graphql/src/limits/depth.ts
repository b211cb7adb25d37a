import { Kind, type DocumentNode, type FragmentDefinitionNode, type SelectionSetNode } from '../graphql-js.js';

/**
 * How many levels of fields the deepest operation of a document has. It needs no schema and runs before validation, so
 * it bears cyclic and unknown fragments; each fragment is measured once. Introspection, which validation bounds by a
 * rule of its own, counts as one level.
 */
export function documentDepth(document: DocumentNode): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const measured = new Map<string, number>();

  const ofFragment = (name: string): number => {
    const known = measured.get(name);
    if (known !== undefined) return known;
    // Stands while the fragment is measured: a cycle ends here, and validation refuses it later.
    measured.set(name, 0);
    const depth = ofSelections(fragments.get(name)?.selectionSet);
    measured.set(name, depth);
    return depth;
  };
  const ofSelections = (selectionSet: SelectionSetNode | undefined): number => {
    let deepest = 0;
    for (const selection of selectionSet?.selections ?? []) {
      if (selection.kind === Kind.FIELD) {
        const isIntrospection = selection.name.value === '__schema' || selection.name.value === '__type';
        deepest = Math.max(deepest, 1 + (isIntrospection ? 0 : ofSelections(selection.selectionSet)));
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        deepest = Math.max(deepest, ofSelections(selection.selectionSet));
      } else {
        deepest = Math.max(deepest, ofFragment(selection.name.value));
      }
    }
    return deepest;
  };

  let depth = 0;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) depth = Math.max(depth, ofSelections(definition.selectionSet));
  }
  return depth;
}
