import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configurationSchema } from '../../apps/composition/src/configuration.js';
import { FLOORS } from '../floors/floors.ts';

const readme = readFileSync('README.md', 'utf8');
const scripts = Object.keys((JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object }).scripts);

test('every variable is in the table of the configuration, with its default', () => {
  const table = [...readme.matchAll(/^\| (MUON_\w+) \| (\S*) ?\|/gm)].map(([, name, value]) => [name ?? '', value]);
  const { data } = configurationSchema.safeParse({ MUON_DATABASE_URL: 'postgres://muon@localhost/muon', MUON_SECRET_KEYS: 'k1:key' });
  const { MUON_DATABASE_URL: _url, MUON_SECRET_KEYS: _keys, ...defaults } = data ?? {};
  const shown = Object.keys(configurationSchema.shape).map((name) => {
    if (name === 'MUON_DATABASE_URL' || name === 'MUON_SECRET_KEYS') return [name, 'needed'];
    return [name, String(defaults[name as keyof typeof defaults] ?? '')];
  });
  expect(Object.fromEntries(table)).toEqual(Object.fromEntries(shown));
});

test('the picture shows the rooms that are there, on their floors', () => {
  const picture = [...readme.matchAll(/^ +(\d+) {4}(\w.*)$/gm)].map(([, floor, rooms]) => [Number(floor), rooms?.split(':')[0]?.split('   ')]);
  const built = (room: string): boolean => room === 'apps' || existsSync(`libs/${room}`);
  const floors = FLOORS.map((rooms, floor) => [floor, rooms.filter((room) => built(room)).toSorted()] as const);
  expect(Object.fromEntries(picture.map(([floor, rooms]) => [floor, (rooms as string[]).toSorted()]))).toEqual(Object.fromEntries(floors));
});

test('what it links to is there, and so is every script that it names', () => {
  const links = [...readme.matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, path]) => path ?? '');
  const paths = [...readme.matchAll(/`((?:test|docs|scripts|apps|libs)\/[\w./-]+)`/g)].map(([, path]) => path ?? '');
  expect([...links, ...paths].filter((path) => !existsSync(path))).toEqual([]);
  const named = [...readme.matchAll(/npm run (?:--silent )?([\w-]+)/g)].map(([, name]) => name ?? '');
  expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
});
