import type { z } from 'zod';
import { MuonError } from './errors.js';

/**
 * Checks an input against its schema and returns the typed value.
 * @throws INVALID_INPUT with the first broken field's path below `root`, and all of them in `data.problems` (at most 20).
 */
export function parseInput<Schema extends z.ZodType>(schema: Schema, value: unknown, root = 'input'): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, 20).map((issue) => ({
    field: [root, ...issue.path.map(String)].join('.'),
    message: issue.message,
  }));
  const first = problems[0];
  throw new MuonError('INVALID_INPUT', first?.message ?? 'The input is not valid.', {
    field: first?.field ?? root,
    data: { problems },
  });
}
