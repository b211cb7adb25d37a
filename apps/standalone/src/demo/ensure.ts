import { Refused } from './api.js';

export type Named = { nodes: { id: string; name: string }[] };

/** Makes it; what is there already under that name is found instead. @returns its id */
export async function ensure(make: () => Promise<string>, find: () => Promise<Named>, name: string): Promise<string> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'ALREADY_EXISTS') throw error;
    const found = (await find()).nodes.find((node) => node.name === name);
    if (found === undefined) throw error;
    return found.id;
  }
}
