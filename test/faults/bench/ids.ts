import type { JsonObject } from '#core';

/** An id that a command answered with. */
export function idIn(result: JsonObject, name = 'id'): string {
  const id = result[name];
  if (typeof id === 'string') return id;
  throw new Error(`the command answered without "${name}": ${JSON.stringify(result)}`);
}
