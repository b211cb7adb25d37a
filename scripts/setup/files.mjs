import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where set-up keeps its notes; not in node_modules, which an installation empties first. */
export const notesFolder = (root) => join(root, '.muon', 'setup');

export function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

export const pinnedNode = (root) => join(root, 'node_modules', '.bin', 'node');
