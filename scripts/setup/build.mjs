import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pinnedNode, readText } from './files.mjs';
import { run, secondsSince } from './run.mjs';

const BUILD_DEADLINE_MS = 5 * 60_000;
const CONFIGURATION = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

const stampOf = (root) => join(root, 'dist', '.sources');

export const isBuilt = (root) => readText(stampOf(root)) === hashOfSources(root);

/** Into a folder beside, which then takes the place of the old one: neither a half build nor a file of yesterday stays. */
export async function build(root) {
  const start = Date.now();
  const hash = hashOfSources(root);
  const output = join(root, 'dist');
  const fresh = join(root, 'dist.new');
  rmSync(fresh, { recursive: true, force: true });
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  await run({
    command: pinnedNode(root),
    programArguments: [compiler, '-p', 'tsconfig.build.json', '--outDir', 'dist.new'],
    cwd: root,
    deadlineMs: BUILD_DEADLINE_MS,
    purpose: 'The build (tsc -p tsconfig.build.json)',
  });
  writeFileSync(join(fresh, '.sources'), hash);
  rmSync(output, { recursive: true, force: true });
  renameSync(fresh, output);
  console.log(`Built in ${secondsSince(start)}.`);
}

function hashOfSources(root) {
  const hash = createHash('sha256');
  const sources = ['apps', 'libs'].filter((folder) => existsSync(join(root, folder))).flatMap((folder) => sourcesIn(root, folder));
  for (const path of [...CONFIGURATION, ...sources.sort()]) hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** @returns {string[]} */
function sourcesIn(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sourcesIn(root, path);
    return path.endsWith('.ts') && !path.endsWith('.spec.ts') ? [path] : [];
  });
}
