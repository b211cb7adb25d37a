/** What a client gave, all the way down: GraphQL lets it leave out an optional field or say null, and means the same by both. */
export function given<Input extends object>(input: Input): Record<string, unknown> {
  const kept = Object.entries(input).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(kept.map(([key, value]) => [key, plain(value)]));
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? given(value) : value;
}
