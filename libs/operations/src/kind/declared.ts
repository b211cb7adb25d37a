/** Declarations are checked when a program starts; a wrong one stops it with words for whoever wrote it. */
export function declared(condition: unknown, message: string): asserts condition {
  if (condition !== true) throw new Error(message);
}
