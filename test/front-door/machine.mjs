/** What the proof takes over from the machine it runs on: Node, npm, how to reach registries. All found at run time. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, copyFileSync, existsSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SUITE = 'bookworm';
/** Settings of npm without which it may not reach a registry from here. */
const NPM_SETTINGS = ['registry', 'proxy', 'https-proxy', 'noproxy', 'strict-ssl', 'replace-registry-host'];
const AUTHORITIES = '/etc/front-door-authorities.crt';

const output = (command, ...commandArguments) => execFileSync(command, commandArguments, { encoding: 'utf8' });

/** A minimal Debian, from the mirror that this machine's apt uses. */
export function makeDebian(folder) {
  if (spawnSync('debootstrap', ['--version']).error !== undefined) {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'debootstrap'], { stdio: 'ignore' });
  }
  const indexes = output('apt-get', 'indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages');
  const mirror = indexes.split('\n').find((line) => line.startsWith(`${SUITE} `))?.split(' ')[1];
  if (mirror === undefined) throw new Error(`apt has no source for ${SUITE} here.`);
  execFileSync('debootstrap', ['--variant=minbase', SUITE, folder, mirror], { stdio: ['ignore', 'ignore', 'inherit'] });
  copyFileSync('/etc/resolv.conf', join(folder, 'etc', 'resolv.conf'));
}

/** The Node that runs this and its npm, with the libraries that the minimal Debian lacks. */
export function installNode(folder) {
  const node = realpathSync(process.execPath);
  const target = join(folder, 'usr', 'local');
  copyFileSync(node, join(target, 'bin', 'node'));
  for (const library of librariesOf(node)) {
    const copy = join(folder, library);
    if (existsSync(copy)) continue;
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(realpathSync(library), copy);
  }
  const npm = dirname(dirname(realpathSync(output('sh', '-c', 'command -v npm').trim())));
  cpSync(npm, join(target, 'lib', 'node_modules', 'npm'), { recursive: true, verbatimSymlinks: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(target, 'bin', 'npm'));
  return `Node ${process.versions.node}, npm ${output('npm', '--version').trim()}`;
}

const librariesOf = (program) => [...output('ldd', program).matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path);

/** The environment in which npm reaches the registry as it does outside. */
export function npmEnvironment(folder) {
  const settings = JSON.parse(output('npm', 'config', 'ls', '--long', '--json'));
  const environment = {};
  for (const [name, value] of Object.entries(settings)) {
    const wanted = NPM_SETTINGS.includes(name) || name.endsWith(':registry');
    if (wanted && value !== null && value !== '') environment[`npm_config_${name.replaceAll('-', '_')}`] = String(value);
  }
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    if (process.env[name] !== undefined) environment[name] = process.env[name];
  }
  const authorities = settings.cafile ?? process.env.NODE_EXTRA_CA_CERTS;
  if (authorities) {
    copyFileSync(authorities, join(folder, AUTHORITIES));
    environment.npm_config_cafile = AUTHORITIES;
    environment.NODE_EXTRA_CA_CERTS = AUTHORITIES;
  }
  return environment;
}
