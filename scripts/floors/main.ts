import { checkFloors } from './check.ts';
import { tooLongFiles } from './lengths.ts';
import { readHouse } from './read-house.ts';

const house = readHouse(process.cwd());
const { breaches, edges } = checkFloors(house);
const findings = [...breaches, ...tooLongFiles(process.cwd())];
for (const finding of findings) console.error(finding);
console.log(`${house.files.size} files, ${edges.length} ways between rooms, ${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
