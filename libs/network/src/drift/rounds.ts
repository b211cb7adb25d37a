import { MuonError } from '#core';
import type { ChangeSet } from '#database';
import type { ReconcilerContext } from '#operations';

const MAX_PAGES = 2000;

/** Where runs have ended, by what they look through: the next goes on there, so that what cannot be repaired keeps nothing from it. */
export type Rounds = Map<string, string>;

/**
 * All that there is, by id, beginning after one.
 * @param read a page by id, of `limit`
 */
export async function* around<Part extends { id: string }>(begin: string, limit: number, read: (after: string) => Promise<readonly Part[]>): AsyncGenerator<Part> {
  for (const isWrapped of begin === '' ? [false] : [false, true]) {
    let after = isWrapped ? '' : begin;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const parts = await read(after);
      for (const part of parts) {
        if (isWrapped && part.id > begin) return;
        yield part;
      }
      const last = parts.at(-1);
      if (last === undefined || parts.length < limit) break;
      after = last.id;
    }
  }
}

/** @returns false when somebody holds it, who changes it, or repairs it already: a later run sees what is left */
export async function submitUnlessBusy(context: ReconcilerContext, changes: ChangeSet): Promise<boolean> {
  try {
    await context.submit(changes);
    return true;
  } catch (error) {
    if (error instanceof MuonError && error.code === 'RESOURCE_BUSY') return false;
    throw error;
  }
}
