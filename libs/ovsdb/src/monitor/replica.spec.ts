import { beforeEach, describe, expect, it, test } from 'vitest';
import { ProtocolError } from '../errors.js';
import type { ColumnType } from '../schema/schema.js';
import { Replica } from './replica.js';

const columns: ReadonlyMap<string, ColumnType> = new Map([
  ['name', { key: 'string', value: undefined, min: 1, max: 1 }],
  ['tags', { key: 'string', value: undefined, min: 0, max: Infinity }],
]);
const tables = new Map([['T', columns]]);
let replica: Replica;

beforeEach(() => {
  replica = new Replica(tables);
  replica.replace({ T: { u1: { initial: { name: 'one', tags: ['set', ['a', 'b']] } }, u2: { initial: {} } } }, 'table-updates2');
});

const row = (uuid: string, name: string, ...tags: string[]) => ({ _uuid: uuid, name, tags: new Set(tags) });

test('a first dump is inserts, with defaults for what is left out', () => {
  const fresh = new Replica(tables);
  expect(fresh.replace({ T: { u1: { initial: { name: 'one' } } } }, 'table-updates2')).toEqual([{ kind: 'insert', table: 'T', row: row('u1', 'one') }]);
  expect(fresh.rows('T').get('u1')).toEqual(row('u1', 'one'));
});

describe('an update2', () => {
  it('inserts, modifies by differences, and deletes', () => {
    const before = replica.rows('T').get('u1');
    const update = { T: { u1: { modify: { tags: ['set', ['b', 'c']] } }, u2: { delete: null }, u3: { insert: { name: 'three' } } } };
    expect(replica.update(update, 'table-updates2')).toEqual([
      { kind: 'modify', table: 'T', row: row('u1', 'one', 'a', 'c'), old: { tags: new Set(['a', 'b']) } },
      { kind: 'delete', table: 'T', row: row('u2', '') },
      { kind: 'insert', table: 'T', row: row('u3', 'three') },
    ]);
    expect([...replica.rows('T').keys()]).toEqual(['u1', 'u3']);
    expect(before).toEqual(row('u1', 'one', 'a', 'b'));
  });

  it('that does not fit changes nothing at all', () => {
    const update = { T: { u2: { delete: null }, u9: { modify: { name: 'x' } } } };
    expect(() => replica.update(update, 'table-updates2')).toThrow(ProtocolError);
    expect([...replica.rows('T').keys()]).toEqual(['u1', 'u2']);
  });

  test.each([
    ['a table that is not monitored', { X: {} }],
    ['a column that is not monitored', { T: { u1: { modify: { size: 1 } } } }],
    ['a value of another type', { T: { u1: { modify: { name: 1 } } } }],
    ['no object', ['T']],
  ])('with %s breaks the protocol', (_what, update) => {
    expect(() => replica.update(update, 'table-updates2')).toThrow(ProtocolError);
  });
});

test('an update of RFC 7047 tells whole rows', () => {
  const update = {
    T: {
      u1: { old: { name: 'one' }, new: { name: 'first', tags: ['set', ['b', 'a']] } },
      u2: { old: { name: '', tags: ['set', []] } },
      u3: { new: { name: 'three', tags: 'x' } },
    },
  };
  expect(replica.update(update, 'table-updates')).toEqual([
    { kind: 'modify', table: 'T', row: row('u1', 'first', 'b', 'a'), old: { name: 'one' } },
    { kind: 'delete', table: 'T', row: row('u2', '') },
    { kind: 'insert', table: 'T', row: row('u3', 'three', 'x') },
  ]);
});

describe('a later dump', () => {
  it('tells only what really differs, whatever the order', () => {
    const dump = { T: { u3: { initial: { name: 'three' } }, u1: { initial: { tags: ['set', ['b', 'a']], name: 'one' } } } };
    expect(replica.replace(dump, 'table-updates2')).toEqual([
      { kind: 'insert', table: 'T', row: row('u3', 'three') },
      { kind: 'delete', table: 'T', row: row('u2', '') },
    ]);
  });
  it('without a table empties it', () => {
    expect(replica.replace({}, 'table-updates2').map(({ kind }) => kind)).toEqual(['delete', 'delete']);
    expect(replica.rows('T').size).toBe(0);
  });
  it('tells columns that came and went with a new schema', () => {
    replica.retype(new Map([['T', new Map([['name', columns.get('name') as ColumnType], ['size', { key: 'integer', value: undefined, min: 1, max: 1 }]])]]));
    const dump = { T: { u1: { initial: { name: 'one', size: 3 } } } };
    expect(replica.replace(dump, 'table-updates2')).toEqual([
      { kind: 'modify', table: 'T', row: { _uuid: 'u1', name: 'one', size: 3 }, old: { tags: new Set(['a', 'b']) } },
      { kind: 'delete', table: 'T', row: row('u2', '') },
    ]);
  });
});
