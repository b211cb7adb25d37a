import { readFileSync } from 'node:fs';
import type { z } from 'zod';

/**
 * Reads configuration from environment variables. A value may also come from a file named by `<NAME>_FILE`, which is
 * how secrets are handed over without showing in a process list.
 * @throws Error that names every wrong variable, never its value.
 */
export function readConfiguration<Schema extends z.ZodType>(
  schema: Schema,
  environment: NodeJS.ProcessEnv = process.env,
): z.output<Schema> {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('MUON_')) continue;
    if (name.endsWith('_FILE')) values[name.slice(0, -'_FILE'.length)] ??= readFileSync(value, 'utf8').trim();
    else values[name] = value;
  }
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`The configuration is not valid:\n${problems.join('\n')}`);
}
