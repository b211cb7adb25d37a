import { describe, expect, test } from 'vitest';
import { checkFloors } from './check.ts';
import { lengthBreach } from './lengths.ts';
import { roomsPage } from './rooms-page.ts';

const doors = new Map(
  ['core', 'database', 'database/embedded', 'graphql', 'events', 'network', 'network/api', 'storage', 'storage/api']
    .concat(['compute', 'compute/api', 'operations', 'quota', 'driver-simulated', 'testing', 'attic'])
    .map((door) => [`#${door}`, `libs/${door}/src/index.ts`]),
);

function breaches(files: Record<string, string>): string[] {
  return checkFloors({ files: new Map(Object.entries(files)), doors }).breaches;
}

const accepted: [why: string, path: string, text: string][] = [
  ['a lower room', 'libs/storage/src/disk/disk.service.ts', `import { MuonError } from '#core';`],
  ['a declared further door', 'libs/storage/src/index.ts', `export * from '#database/embedded';`],
  ['files of the same room', 'libs/storage/src/disk/disk.service.ts', `import { x } from '../pool/pool.js';`],
  ['apps use everything', 'apps/standalone/src/main.ts', `import '#compute/api'; import '#driver-simulated'; import '../../api/src/api.js';`],
  ['GraphQL parts among themselves', 'libs/compute/src/machine/machine.graphql.ts', `import '#network/api'; import 'graphql';`],
  ['api.ts collects them', 'libs/compute/src/api.ts', `export * from './machine/machine.graphql.js'; import '@nestjs/graphql';`],
  ['the graphql room', 'libs/graphql/src/server/server.ts', `import 'mercurius'; import '@nestjs/mercurius';`],
  ['SQL files name the ORM', 'libs/storage/src/disk/disk.sql.ts', `import 'typeorm';`],
  ['so do entities', 'libs/storage/src/disk/disk.entity.ts', `import 'typeorm';`],
  ['so do migrations', 'libs/storage/src/migrations/0001-disks.ts', `import 'typeorm';`],
  ['operations names the queue', 'libs/operations/src/bell.ts', `import 'bullmq';`],
  ['specs lean on testing and drivers', 'libs/storage/src/disk/disk.spec.ts', `import '#testing'; import '#driver-simulated'; import '#storage';`],
  ['tests that cross rooms', 'test/acceptance/disk.spec.ts', `import '#testing'; import '#compute'; import '../../apps/api/src/api.js';`],
  ['what tests share', 'libs/testing/src/house.ts', `import '#compute/api';`],
  ['packages that nobody restricts', 'libs/storage/src/disk/disk.ts', `import { z } from 'zod'; import 'graphql-ws';`],
];

test.each(accepted)('%s', (_why, path, text) => {
  expect(breaches({ [path]: text })).toEqual([]);
});

const refused: [why: string, path: string, text: string, reason: string][] = [
  ['a higher room', 'libs/storage/src/disk/disk.service.ts', `\nimport { x } from '#compute';`, 'storage is on floor 8, compute on floor 9'],
  ['a room beside', 'libs/storage/src/index.ts', `export * from '#network';`, 'storage is on floor 8, network on floor 8'],
  ['a higher room, in a type only', 'libs/quota/src/index.ts', `let x: import('#compute').Machine;`, 'quota is on floor 4'],
  ['a higher room, by import()', 'libs/quota/src/index.ts', `await import('#compute');`, 'quota is on floor 4'],
  ['a higher room, by import type', 'libs/quota/src/index.ts', `import type { A } from '#compute';`, 'quota is on floor 4'],
  ['a higher room, from a spec', 'libs/quota/src/quota.spec.ts', `import '#compute';`, 'quota is on floor 4'],
  ['apps', 'libs/compute/src/index.ts', `import '../../../apps/api/src/main.js';`, 'entered through its door'],
  ['a room by path', 'libs/storage/src/index.ts', `import '../../core/src/errors.js';`, 'entered through its door'],
  ['a room by path, from test/', 'test/faults/disk.spec.ts', `import '../../libs/core/src/errors.js';`, 'entered through its door'],
  ['a door that is not declared', 'libs/storage/src/index.ts', `import '#core/errors';`, 'declares no such door'],
  ['its own door', 'libs/storage/src/disk/disk.ts', `import '#storage';`, 'name each other by path'],
  ['testing, from what runs for real', 'libs/storage/src/disk/disk.ts', `import '#testing';`, 'only specs and test/'],
  ['testing, from an app', 'apps/api/src/main.ts', `import '#testing';`, 'only specs and test/'],
  ['GraphQL parts from a service', 'libs/compute/src/machine/machine.service.ts', `import '#network/api';`, 'GraphQL parts are for'],
  ['*.graphql.ts from the index', 'libs/compute/src/index.ts', `export * from './machine/machine.graphql.js';`, 'through api.ts only'],
  ['GraphQL in a service', 'libs/compute/src/machine/machine.service.ts', `import { GraphQLError } from 'graphql';`, 'may name GraphQL'],
  ['Nest GraphQL in a service', 'libs/compute/src/machine/machine.service.ts', `import '@nestjs/graphql';`, 'may name GraphQL'],
  ['the ORM in a service', 'libs/compute/src/machine/machine.service.ts', `import 'typeorm';`, 'may name the ORM'],
  ['the ORM in an app', 'apps/api/src/main.ts', `import 'typeorm/driver';`, 'may name the ORM'],
  ['the queue elsewhere', 'libs/compute/src/machine/machine.service.ts', `import 'bullmq';`, 'may name the queue'],
  ['a driver', 'libs/compute/src/index.ts', `import '#driver-simulated';`, 'a driver is named only where'],
  ['a room without a floor', 'libs/storage/src/index.ts', `import '#attic';`, 'the room attic has no floor'],
  ['being a room without a floor', 'libs/attic/src/index.ts', '', 'the room attic has no floor'],
];

test.each(refused)('refused: %s', (_why, path, text, reason) => {
  const found = breaches({ [path]: text });
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(reason);
  expect(found[0]).toMatch(new RegExp(`^${path}:${text.startsWith('\n') ? 2 : 1}  `));
});

describe('cycles between files', () => {
  test('are refused, naming the shortest way round', () => {
    const files = {
      'libs/storage/src/a.ts': `import './b.js';`,
      'libs/storage/src/b.ts': `export * from './c.js'; import './d.js';`,
      'libs/storage/src/c.ts': `import './d.js';`,
      'libs/storage/src/d.ts': `import { a } from './a.js';`,
      'libs/storage/src/index.ts': `export * from './a.js';`,
    };
    expect(breaches(files)).toEqual([
      'libs/storage/src/a.ts:1  import cycle: libs/storage/src/a.ts → libs/storage/src/b.ts → libs/storage/src/d.ts → libs/storage/src/a.ts',
    ]);
  });

  test('are none where one way is types only', () => {
    const files = {
      'libs/storage/src/a.ts': `import type { B } from './b.js'; import { type C } from './b.js';`,
      'libs/storage/src/b.ts': `import { a } from './a.js';`,
    };
    expect(breaches(files)).toEqual([]);
  });

  test('a file that imports itself is one', () => {
    expect(breaches({ 'libs/core/src/a.ts': `import './a.js';` })).toHaveLength(1);
  });
});

test('the page shows every import in its table, and in the picture only what does not follow', () => {
  const files = {
    'libs/storage/src/index.ts': `import '#core'; import '#database';`,
    'libs/database/src/index.ts': `import '#core';`,
    'libs/storage/src/disk.spec.ts': `import '#quota';`,
  };
  const page = roomsPage(checkFloors({ files: new Map(Object.entries(files)), doors }).edges);
  expect(page).toContain('| 8 | storage | core, database |');
  expect(page).toContain('  storage --> database\n');
  expect(page).not.toContain('storage --> core');
  expect(page).not.toContain('quota');
});

test('files have at most 400 lines, specs 600', () => {
  expect(lengthBreach('libs/core/src/errors.ts', 'x\n'.repeat(400))).toBeUndefined();
  expect(lengthBreach('libs/core/src/errors.ts', 'x\n'.repeat(401))).toContain('has 401 lines; 400 are allowed');
  expect(lengthBreach('libs/core/src/errors.spec.ts', 'x\n'.repeat(600))).toBeUndefined();
  expect(lengthBreach('libs/core/src/errors.spec.ts', 'x\n'.repeat(601))).toContain('600 are allowed');
});
