/**
 * Proves the front door: a fresh clone works in a bare Debian that has Node and npm and nothing else, as root (below
 * /root, mode 700) and as an ordinary user at the same time, the first time and the second, and leaves no process and no
 * account behind.
 *
 *   node test/front-door/chroot.mjs [--keep] ["npm test -- libs/core" …]
 *
 * Needs root and Debian's apt. Everything is made in a temporary folder; mounts exist only in the name space of each
 * command and are gone with it, however it ends.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNode, makeDebian, npmEnvironment } from './machine.mjs';

/** Any port that is free: both users run it at the same time. */
const COMMANDS = ['npm run demo -- --once --port 0', 'npm test -- libs/database/src/embedded scripts'];
const USERS = [
  { title: 'root', uid: 0, home: '/root' },
  { title: 'ordinary user', uid: 1000, home: '/home/developer' },
];
const COMMAND_DEADLINE_MS = 15 * 60_000;
const INSTALLED = /^Installed in /m;

/** Runs in name spaces of its own: $1 is the Debian, $2 the uid, the rest the command. */
const INSIDE = `
debian=$1 uid=$2
shift 2
mount -t proc proc "$debian/proc"
mount -t tmpfs -o mode=755 tmpfs "$debian/dev"
for device in null zero full random urandom tty; do
  : >"$debian/dev/$device"
  mount --bind "/dev/$device" "$debian/dev/$device"
done
ln -s /proc/self/fd "$debian/dev/fd"
chroot --userspec="$uid:$uid" --groups="$uid" "$debian" "$@"
status=$?
# A server whose parent has just ended gets a moment to follow.
for moment in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for process in "$debian"/proc/[0-9]*; do
    [ "\${process##*/}" = "$$" ] || left="$left$(tr '\\0' ' ' <"$process/cmdline" 2>/dev/null)"
  done
  [ -z "$left" ] && exit "$status"
  sleep 0.5
done
echo "left behind: $left"
exit 99
`;

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const keep = process.argv.includes('--keep');
const named = process.argv.slice(2).filter((argument) => argument !== '--keep');
const commands = named.length > 0 ? named : COMMANDS;
const seconds = (milliseconds) => (milliseconds / 1000).toFixed(1).padStart(7);

function prepare(debian) {
  makeDebian(debian);
  console.log(`A bare Debian with ${installNode(debian)}`);
  for (const { title, uid, home } of USERS) {
    const folder = join(debian, home);
    if (uid !== 0) {
      appendFileSync(join(debian, 'etc', 'passwd'), `developer:x:${uid}:${uid}:${title}:${home}:/bin/sh\n`);
      mkdirSync(folder, { recursive: true });
    }
    chmodSync(folder, 0o700);
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', project, join(folder, 'muon')]);
    execFileSync('chown', ['-R', `${uid}:${uid}`, folder]);
  }
}

function accountsOf(debian) {
  const hash = createHash('sha256');
  for (const file of ['passwd', 'shadow', 'group']) hash.update(readFileSync(join(debian, 'etc', file)));
  return hash.digest('hex');
}

async function runInside(debian, environment, { uid, home }, command) {
  const variables = Object.entries({ HOME: home, PATH: '/usr/local/bin:/usr/bin:/bin', ...environment });
  const inside = ['/usr/bin/env', '-i', ...variables.map(([name, value]) => `${name}=${value}`)];
  const child = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', INSIDE, 'sh', debian, String(uid), ...inside]
      .concat(['/bin/sh', '-c', 'cd "$HOME/muon" && exec "$@"', 'sh', ...command.split(' ')]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_DEADLINE_MS);
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
  clearTimeout(timer);
  return { status, output };
}

/** What is wrong with a run, undefined when nothing is. */
function problemOf({ status, output }, isVeryFirst) {
  if (status !== 0) return `ended with ${status}`;
  if (isVeryFirst && !INSTALLED.test(output)) return 'installed nothing, though the clone was fresh';
  if (!isVeryFirst && INSTALLED.test(output)) return 'installed again';
  return undefined;
}

/** @returns a line on each command, and how many problems there were */
async function proveAs(user, debian, accounts) {
  const environment = npmEnvironment(debian);
  const lines = [];
  let problems = 0;
  for (const [index, command] of commands.entries()) {
    // That nothing is installed again shows with one command; the others find it installed the first time.
    for (const round of index === 0 ? ['first', 'second'] : ['first']) {
      const start = Date.now();
      const result = await runInside(debian, environment, user, command);
      console.log(`\n# ${user.title}, ${round} run: ${command}\n${result.output}`);
      const created = accountsOf(debian) === accounts ? undefined : 'changed the accounts';
      const problem = problemOf(result, index === 0 && round === 'first') ?? created;
      if (problem !== undefined) problems += 1;
      const outcome = problem === undefined ? 'passed' : `FAILED: ${problem}`;
      lines.push(`${seconds(Date.now() - start)} s  ${user.title.padEnd(14)} ${round.padEnd(7)} ${command}  ${outcome}`);
    }
  }
  return { lines, problems };
}

async function prove(debian) {
  const accounts = accountsOf(debian);
  const proofs = await Promise.all(USERS.map((user) => proveAs(user, debian, accounts)));
  const lines = proofs.flatMap((proof) => proof.lines);
  const problems = proofs.reduce((sum, proof) => sum + proof.problems, 0);
  console.log(['', ...lines, `${lines.length - problems} passed, ${problems} failed`].join('\n'));
  return problems === 0;
}

async function main() {
  if (process.getuid() !== 0) throw new Error('The proof needs root: it makes a Debian and enters it.');
  const folder = mkdtempSync('/var/tmp/muon-front-door-');
  const debian = join(folder, 'debian');
  // The ordinary user must be able to pass.
  chmodSync(folder, 0o755);
  const start = Date.now();
  try {
    prepare(debian);
    console.log(`${seconds(Date.now() - start)} s  to prepare it`);
    process.exitCode = (await prove(debian)) ? 0 : 1;
  } finally {
    if (keep) console.log(`Kept: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

await main();
