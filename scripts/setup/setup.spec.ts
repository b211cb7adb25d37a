import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

/** Installs what the lock file says, as npm does: empties first, writes its own lock file last. */
const NPM = `
  const fs = require('node:fs');
  fs.appendFileSync('npm.log', process.argv.slice(2).join(' ') + '\\n');
  fs.rmSync('node_modules', { recursive: true, force: true });
  if (fs.existsSync('npm-fails')) { console.error('registry says no'); process.exit(7); }
  const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
  delete packages[''];
  delete packages['node_modules/other-platform'];
  for (const path of Object.keys(packages)) {
    fs.mkdirSync(path, { recursive: true });
    fs.writeFileSync(path + '/package.json', '{}');
  }
  const end = () => {
    fs.mkdirSync('node_modules/.bin', { recursive: true });
    fs.writeFileSync('node_modules/.bin/node', fs.readFileSync('fake-node'), { mode: 0o755 });
    fs.mkdirSync('node_modules/typescript/bin', { recursive: true });
    fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }));
  };
  setTimeout(end, fs.existsSync('npm-is-slow') ? 2000 : 0);
`;
/** Says a version, and "compiles". */
const NODE = `#!/bin/sh
if [ "$1" = --version ]; then echo v24.21.0; exit; fi
if [ -e source-is-wrong ]; then echo "main.ts(1,1): error TS1005"; exit 2; fi
echo built >> tsc.log; mkdir dist.new
`;

let root: string;
const at = (path: string): string => join(root, path);
const lines = (path: string): number => (existsSync(at(path)) ? readFileSync(at(path), 'utf8').trim().split('\n').length : 0);

function put(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}

function lockFile(version: string): string {
  return JSON.stringify({
    packages: {
      '': { name: 'muon' },
      'node_modules/node': { version: '24.21.0', integrity: 'a' },
      'node_modules/zod': { version, integrity: `sha-${version}` },
      'node_modules/other-platform': { version: '1.0.0', integrity: 'b', optional: true },
    },
  });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'muon-setup-spec-'));
  cpSync('scripts', at('scripts'), { recursive: true });
  put('package.json', JSON.stringify({ devDependencies: { node: '24.21.0' } }));
  put('package-lock.json', lockFile('4.0.0'));
  put('tsconfig.json', '{}');
  put('tsconfig.build.json', '{}');
  put('libs/core/src/index.ts', 'export {};');
  put('npm-cli.js', NPM);
  put('fake-node', NODE);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function start(...programArguments: string[]) {
  return spawn(process.execPath, [at('scripts/setup.mjs'), ...programArguments], {
    cwd: tmpdir(),
    env: { ...process.env, npm_execpath: at('npm-cli.js') },
  });
}

async function setup(...programArguments: string[]): Promise<{ code: number; output: string }> {
  const child = start(...programArguments);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

test('the tests run on the pinned Node, whatever Node started them', () => {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { devDependencies: { node: string } };
  expect(process.version).toBe(`v${devDependencies.node}`);
});

describe('installing', () => {
  test('happens once, and is silent when there is nothing to do', async () => {
    const first = await setup();
    expect(first.output).toMatch(/^Installing with npm, because nothing is installed yet: .*Node 24\.21\.0.*\nInstalled in .* s\.\n$/);
    expect(readFileSync(at('npm.log'), 'utf8')).toMatch(/^ci --include=dev --include=optional --ignore-scripts=false /);
    expect(await setup()).toEqual({ code: 0, output: '' });
    expect(lines('npm.log')).toBe(1);
  });

  test.each<[string, () => void]>([
    ['node_modules/zod is not the version in package-lock.json', () => put('package-lock.json', lockFile('4.0.1'))],
    ['node_modules/zod is missing', () => rmSync(at('node_modules/zod'), { recursive: true })],
    ['nothing is installed yet', () => rmSync(at('node_modules/.package-lock.json'))],
    [
      'node_modules/extra is not in package-lock.json',
      () => {
        const installed = JSON.parse(readFileSync(at('node_modules/.package-lock.json'), 'utf8')) as { packages: object };
        Object.assign(installed.packages, { 'node_modules/extra': {} });
        put('node_modules/.package-lock.json', JSON.stringify(installed));
      },
    ],
    [
      'node_modules/.bin/node is not Node 24.21.0 (v20.0.0)',
      () => {
        put('node_modules/.bin/node', '#!/bin/sh\necho v20.0.0\n');
        chmodSync(at('node_modules/.bin/node'), 0o755);
      },
    ],
  ])('is repeated when %s', async (reason, change) => {
    await setup();
    change();
    const { code, output } = await setup();
    expect(output).toContain(reason);
    expect(code).toBe(0);
    expect(lines('npm.log')).toBe(2);
  });

  test('is repeated after an interrupted one', async () => {
    put('npm-is-slow', '');
    const child = start();
    await expect.poll(() => existsSync(at('node_modules/zod'))).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'close');
    // npm itself went on and ended, which nobody could know.
    await expect.poll(() => existsSync(at('node_modules/.package-lock.json'))).toBe(true);
    rmSync(at('npm-is-slow'));
    expect((await setup()).output).toContain('because the last installation did not end');
    expect(await setup()).toEqual({ code: 0, output: '' });
  });

  test('says what npm said when it fails, and tries again the next time', async () => {
    put('npm-fails', '');
    const { code, output } = await setup();
    expect(code).toBe(1);
    expect(output).toContain('The installation (npm ci) failed: it ended with exit code 7.\nregistry says no');
    rmSync(at('npm-fails'));
    expect((await setup()).code).toBe(0);
  });

  test('happens once when two start at the same time', async () => {
    put('npm-is-slow', '');
    const [one, other] = await Promise.all([setup(), setup()]);
    expect([one.code, other.code]).toEqual([0, 0]);
    expect(one.output + other.output).toMatch(/Another set-up is at work here \(process \d+\); waiting for it\./);
    expect(lines('npm.log')).toBe(1);
  });

  test('is not held up by the lock of a process that is gone', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    put('.muon/setup/lock', `${gone.pid}\n`);
    const results = await Promise.all([setup(), setup(), setup()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(lines('npm.log')).toBe(1);
    expect(existsSync(at('.muon/setup/lock'))).toBe(false);
  });
});

describe('building', () => {
  test('happens when the sources have changed, and not for specs', async () => {
    await setup('--build');
    await setup('--build');
    put('libs/core/src/index.spec.ts', 'export {};');
    expect((await setup('--build')).output).toBe('');
    expect(lines('tsc.log')).toBe(1);
    put('libs/core/src/index.ts', 'export const changed = true;');
    expect((await setup('--build')).output).toMatch(/^Built in .* s\.\n$/);
    await setup('--rebuild');
    expect(lines('tsc.log')).toBe(3);
  });

  test('leaves the last good build in place when it fails', async () => {
    await setup('--build');
    put('dist/main.js', '');
    put('libs/core/src/index.ts', 'export const');
    put('source-is-wrong', '');
    const { code, output } = await setup('--build');
    expect(code).toBe(1);
    expect(output).toContain('exit code 2.\nmain.ts(1,1): error TS1005');
    expect(existsSync(at('dist/main.js'))).toBe(true);
    rmSync(at('source-is-wrong'));
    expect((await setup('--build')).code).toBe(0);
    expect(existsSync(at('dist/main.js'))).toBe(false);
  });
});
