/**
 * The front door: makes a fresh clone runnable with any Node from 20 on and npm, and says nothing when there is nothing
 * to do. Plain JavaScript without dependencies, because it runs before there are any; everything after it runs on the
 * Node that it installed, in a `npm run` of its own.
 *
 *   node scripts/setup.mjs            installs what is missing
 *   node scripts/setup.mjs --build    and compiles when the sources have changed
 *   node scripts/setup.mjs --rebuild  and compiles in any case
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, isBuilt } from './setup/build.mjs';
import { install, whyNotInstalled } from './setup/install.mjs';
import { withLock } from './setup/lock.mjs';

const OLDEST_NODE = 20;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const rebuild = process.argv.includes('--rebuild');
const wantsBuild = rebuild || process.argv.includes('--build');

function isDone() {
  return whyNotInstalled(root) === undefined && !rebuild && (!wantsBuild || isBuilt(root));
}

async function main() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new Error(`Node ${process.versions.node} is too old: Muon needs Node ${OLDEST_NODE} or newer to install itself.`);
  }
  if (isDone()) return;
  await withLock(root, async () => {
    // Asked again: whoever held the lock before us may have done it all.
    const reason = whyNotInstalled(root);
    if (reason !== undefined) await install(root, reason);
    if (rebuild || (wantsBuild && !isBuilt(root))) await build(root);
  });
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
