import type { RoomEdge } from './check.ts';
import { FLOORS } from './floors.ts';

/** The page that shows how the rooms really lean on each other. */
export function roomsPage(edges: readonly RoomEdge[]): string {
  const direct = new Map<string, string[]>();
  for (const { from, to } of edges) direct.set(from, [...(direct.get(from) ?? []), to]);
  const floors = FLOORS.map((rooms, floor) => ({ floor, rooms: rooms.filter((room) => isBuilt(room, edges)) }));
  const built = floors.filter(({ rooms }) => rooms.length > 0).reverse();
  return [
    '<!-- Written by `npm run generate` from the imports; do not edit. -->',
    '',
    '# Rooms',
    '',
    'A room imports only from rooms on floors below its own; `npm run check` refuses anything else. The picture leaves',
    'out what follows from another arrow; the table has every import.',
    '',
    '```mermaid',
    'flowchart TD',
    ...built.flatMap(({ floor, rooms }) => [
      `  subgraph floor${floor}["${floor}"]`,
      ...rooms.map((room) => `    ${room}`),
      '  end',
    ]),
    ...withoutDetours(direct).map(({ from, to }) => `  ${from} --> ${to}`),
    '```',
    '',
    '| floor | room | imports |',
    '| --- | --- | --- |',
    ...built.flatMap(({ floor, rooms }) =>
      rooms.map((room) => `| ${floor} | ${room} | ${[...(direct.get(room) ?? [])].sort().join(', ')} |`),
    ),
    '',
  ].join('\n');
}

const isBuilt = (room: string, edges: readonly RoomEdge[]): boolean =>
  edges.some(({ from, to }) => from === room || to === room);

/** Only the arrows that say something new: an arrow is left out when another way leads to the same room. */
function withoutDetours(direct: ReadonlyMap<string, readonly string[]>): RoomEdge[] {
  const reaches = (from: string, to: string): boolean =>
    (direct.get(from) ?? []).some((next) => next === to || reaches(next, to));
  return [...direct]
    .flatMap(([from, targets]) => targets.map((to) => ({ from, to })))
    .filter(({ from, to }) => !(direct.get(from) ?? []).some((next) => next !== to && reaches(next, to)))
    .sort((one, other) => `${one.from} ${one.to}`.localeCompare(`${other.from} ${other.to}`, 'en'));
}
