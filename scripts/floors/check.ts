import { posix } from 'node:path';
import {
  floorOf,
  isForTests,
  isGraphqlPart,
  isSpec,
  PACKAGE_RULES,
  roomOf,
  TEST_ROOM,
  TESTING_ROOM,
} from './floors.ts';
import { findCycles } from './cycles.ts';
import { importsOf, type Import } from './imports.ts';

export interface House {
  /** Source text by path from the project's root. */
  files: ReadonlyMap<string, string>;
  /** The doors that package.json declares, and the source file behind each. */
  doors: ReadonlyMap<string, string>;
}

export interface RoomEdge {
  from: string;
  to: string;
}

/** Every breach, as `path:line  reason`, and which room imports which (specs and tests left out). */
export function checkFloors(house: House): { breaches: string[]; edges: RoomEdge[] } {
  const breaches: string[] = [];
  const edges = new Map<string, RoomEdge>();
  const graph = new Map<string, string[]>();
  for (const [path, text] of house.files) {
    const room = roomOf(path);
    if (room === undefined) continue;
    if (room !== TEST_ROOM && room !== TESTING_ROOM && floorOf(room) === undefined) {
      breaches.push(`${path}:1  the room ${room} has no floor; give it one in scripts/floors/floors.ts`);
      continue;
    }
    const imports = importsOf(path, text);
    graph.set(path, []);
    for (const one of imports) {
      const reason = breachOf(path, one, house.doors);
      if (reason !== undefined) breaches.push(`${path}:${one.line}  imports ${one.specifier}: ${reason}`);
      const target = one.specifier.startsWith('.') ? resolveRelative(path, one.specifier) : undefined;
      if (target !== undefined && !one.typeOnly) graph.get(path)?.push(target);
      const to = roomOfDoor(one.specifier);
      if (to !== undefined && to !== room && !isForTests(path)) edges.set(`${room} ${to}`, { from: room, to });
    }
  }
  for (const cycle of findCycles(graph)) breaches.push(`${cycle[0]}:1  import cycle: ${[...cycle, cycle[0]].join(' → ')}`);
  return { breaches: breaches.sort(), edges: [...edges.values()] };
}

const roomOfDoor = (specifier: string): string | undefined => /^#([^/]+)/.exec(specifier)?.[1];

const resolveRelative = (path: string, specifier: string): string =>
  posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');

function breachOf(path: string, { specifier }: Import, doors: ReadonlyMap<string, string>): string | undefined {
  if (specifier.startsWith('.')) return breachOfRelative(path, resolveRelative(path, specifier));
  if (specifier.startsWith('#')) return breachOfDoor(path, specifier, doors);
  const rule = PACKAGE_RULES.find(({ packages, allowed }) => packages.test(specifier) && !allowed(path));
  return rule === undefined ? undefined : `only ${rule.where} may name ${rule.noun}`;
}

function breachOfRelative(path: string, target: string): string | undefined {
  const here = roomOf(path);
  const there = roomOf(target);
  // Apps have no doors; tests that start one in their own process name its files.
  if (here !== there && !(there === 'apps' && isForTests(path))) {
    return 'a room is entered through its door (#room), never by a path';
  }
  if (target.endsWith('.graphql.ts') && !isGraphqlPart(path) && !isForTests(path)) {
    return '*.graphql.ts is reached through api.ts only';
  }
  return undefined;
}

function breachOfDoor(path: string, specifier: string, doors: ReadonlyMap<string, string>): string | undefined {
  const here = roomOf(path) as string;
  const there = roomOfDoor(specifier) as string;
  if (!doors.has(specifier)) return 'package.json declares no such door';
  if (here === there) return isSpec(path) ? undefined : 'inside of a room, files name each other by path';
  if (there === TESTING_ROOM) return isForTests(path) ? undefined : 'only specs and test/ lean on libs/testing';
  if (specifier === `#${there}/api` && here !== 'apps' && !isGraphqlPart(path) && !isForTests(path)) {
    return 'GraphQL parts are for *.graphql.ts, api.ts and apps';
  }
  if (there.startsWith('driver-') && here !== 'apps') {
    return isForTests(path) ? undefined : 'a driver is named only where an app is composed';
  }
  const own = floorOf(here);
  const other = floorOf(there);
  // Tests beside the house and what they share lean on all rooms.
  if (own === undefined) return undefined;
  if (other === undefined) return `the room ${there} has no floor`;
  if (other < own) return undefined;
  return `${here} is on floor ${own}, ${there} on floor ${other}; a room leans only on floors below its own`;
}
