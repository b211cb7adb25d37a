import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { notesFolder, pinnedNode, readText } from './files.mjs';
import { run, secondsSince } from './run.mjs';

const INSTALL_DEADLINE_MS = 15 * 60_000;

/** There while an installation is under way, and left behind by one that was interrupted. */
const noteOf = (root) => join(notesFolder(root), 'installing');

/** Undefined when node_modules is what package-lock.json says. */
export function whyNotInstalled(root) {
  const installed = readText(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'nothing is installed yet';
  if (existsSync(noteOf(root))) return 'the last installation did not end';
  return (
    differenceOf(root, packagesOf(readText(join(root, 'package-lock.json'))), packagesOf(installed)) ?? wrongNode(root)
  );
}

const packagesOf = (text) => JSON.parse(text).packages;

/** npm writes what it has really installed into a lock file of its own, at the very end. */
function differenceOf(root, wanted, installed) {
  for (const [path, entry] of Object.entries(wanted)) {
    // The first entry is the project itself; what is optional may belong to another platform.
    if (path === '' || (entry.optional && installed[path] === undefined)) continue;
    if (installed[path]?.version !== entry.version || installed[path]?.integrity !== entry.integrity) {
      return `${path} is not the version in package-lock.json`;
    }
    if (!existsSync(join(root, path, 'package.json'))) return `${path} is missing`;
  }
  const extra = Object.keys(installed).find((path) => wanted[path] === undefined);
  return extra === undefined ? undefined : `${extra} is not in package-lock.json`;
}

function wrongNode(root) {
  const wanted = wantedNode(root);
  const { stdout, error } = spawnSync(pinnedNode(root), ['--version'], { encoding: 'utf8' });
  const found = error === undefined ? stdout.trim() : error.message;
  return found === `v${wanted}` ? undefined : `node_modules/.bin/node is not Node ${wanted} (${found || 'it does not run'})`;
}

const wantedNode = (root) => JSON.parse(readText(join(root, 'package.json'))).devDependencies.node;

export async function install(root, reason) {
  const count = Object.keys(packagesOf(readText(join(root, 'package-lock.json')))).length;
  console.log(`Installing with npm, because ${reason}: up to ${count} packages, Node ${wantedNode(root)} among them.`);
  const start = Date.now();
  mkdirSync(dirname(noteOf(root)), { recursive: true });
  writeFileSync(noteOf(root), `${process.pid}\n`);
  const { command, first } = npm();
  await run({
    command,
    programArguments: [
      ...first,
      'ci',
      // Whatever the caller's npm is configured to: development tools, platform programs and the install scripts of the
      // packages that package.json names are all needed, and the Node at hand is allowed to be older than theirs.
      '--include=dev',
      '--include=optional',
      '--ignore-scripts=false',
      '--engine-strict=false',
      '--no-audit',
      '--no-fund',
      '--no-progress',
      '--loglevel=error',
    ],
    cwd: root,
    env: { ...process.env, NODE_ENV: undefined },
    deadlineMs: INSTALL_DEADLINE_MS,
    purpose: 'The installation (npm ci)',
  });
  rmSync(noteOf(root));
  const stillWrong = whyNotInstalled(root);
  if (stillWrong !== undefined) throw new Error(`npm ci ended well, but ${stillWrong}.`);
  console.log(`Installed in ${secondsSince(start)}.`);
}

/** The npm that called us, else the one on the path. */
function npm() {
  const path = process.env.npm_execpath;
  if (path !== undefined && /npm-cli\.c?js$/.test(path)) return { command: process.execPath, first: [path] };
  const { error } = spawnSync('npm', ['--version']);
  if (error !== undefined) throw new Error(`npm does not run (${error.message}). Muon needs Node 20 or newer with npm.`);
  return { command: 'npm', first: [] };
}
