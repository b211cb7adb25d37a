import { GraphQLSchemaHost } from '@nestjs/graphql';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertDescribed } from './described.js';
import { startFixture } from './fixture/app.js';
import { buildSchema } from './graphql-js.js';

test('the fixture, and all that this room adds to a schema, is described; the schema is written where it is asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'muon-schema-'));
  const schemaFile = join(folder, 'schema.graphql');
  const { app } = await startFixture({ schemaFile });
  try {
    const served = app.get(GraphQLSchemaHost, { strict: false }).schema;
    const written = buildSchema(await readFile(schemaFile, 'utf8'));
    for (const schema of [served, written]) expect(() => assertDescribed(schema)).not.toThrow();
  } finally {
    await app.close();
    await rm(folder, { recursive: true });
  }
});

test('whatever lacks a description is named', () => {
  const schema = buildSchema(`
    "Marks." directive @mark(by: String) on FIELD
    "Root." type Query { a(b: Int): Kind "Described." c: Thing d(input: In): Any }
    enum Kind { ONE "Second." TWO }
    "Described." interface Thing { "Described." id: ID x: Int }
    "Described." type Real implements Thing { "Described." id: ID "Described." x: Int }
    input In { field: Long }
    scalar Long
    union Any = Real
  `);
  const missing = [
    'Query.a', 'Query.a(b:) of type Int', 'Query.d', 'Query.d(input:) of type In', 'Kind', 'Kind.ONE', 'Thing.x', 'In', 'In.field', 'Long', 'Any',
    '@mark(by:) of type String',
  ];
  expect(() => assertDescribed(schema)).toThrow(`${missing.length} parts`);
  for (const part of missing) expect(() => assertDescribed(schema)).toThrow(`\n  ${part}`);
});
