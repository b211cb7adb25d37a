import { readFile } from 'node:fs/promises';
import { buildSchema, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { FIRST_QUERIES } from './first-queries.js';

it('ask for what the API has', async () => {
  const schema = buildSchema(await readFile('docs/schema.graphql', 'utf8'));
  expect(validate(schema, parse(FIRST_QUERIES))).toEqual([]);
});
