import DataLoader from 'dataloader';
import type { GraphqlContext } from './context.js';

/** The largest number of keys that one call of a batch function gets. */
export const MAX_LOADER_BATCH = 500;

/** Finds many at once. What it does not return does not exist for this caller. */
export type BatchFunction<Key, Value> = (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>;

const loadersOf = new WeakMap<GraphqlContext, Map<string, DataLoader<unknown, unknown>>>();

/**
 * The loader of that name in this request; made at its first use, and gone with the request. Keys are compared by
 * identity, so use strings.
 * @param name unique per purpose, as in `compute.flavor`; the batch function of its first use is kept
 */
export function loader<Key, Value>(
  context: GraphqlContext,
  name: string,
  batch: BatchFunction<Key, Value>,
): DataLoader<Key, Value | undefined> {
  let loaders = loadersOf.get(context);
  if (loaders === undefined) {
    loaders = new Map();
    loadersOf.set(context, loaders);
  }
  let found = loaders.get(name) as DataLoader<Key, Value | undefined> | undefined;
  if (found === undefined) {
    found = new DataLoader<Key, Value | undefined>(
      async (keys) => {
        const values = await batch(keys);
        return keys.map((key) => values.get(key));
      },
      { maxBatchSize: MAX_LOADER_BATCH },
    );
    loaders.set(name, found as DataLoader<unknown, unknown>);
  }
  return found;
}

/** After a change: what is looked up from now on is read anew. Mutations of one document run one after another. */
export function forgetLoaded(context: GraphqlContext): void {
  loadersOf.delete(context);
}
