import { mkdirSync, writeFileSync } from 'node:fs';
import { checkFloors } from './check.ts';
import { readHouse } from './read-house.ts';
import { roomsPage } from './rooms-page.ts';

mkdirSync('docs', { recursive: true });
writeFileSync('docs/rooms.md', roomsPage(checkFloors(readHouse(process.cwd())).edges));
