/**
 * Makes the files that docker-compose.yml hands over as secrets; one that exists is never changed. The folder is its
 * owner's alone; the files in it are readable by all, because containers read them under uids of their own.
 *
 *   node scripts/make-secrets.mjs [folder]
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cli = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist', 'apps', 'cli', 'src', 'main.js');
const folder = process.argv[2] ?? 'secrets';

function make(name, content) {
  const file = join(folder, name);
  if (existsSync(file)) {
    console.log(`kept  ${file}`);
    return;
  }
  writeFileSync(file, `${content()}\n`, { flag: 'wx' });
  chmodSync(file, 0o444);
  console.log(`made  ${file}`);
}

mkdirSync(folder, { recursive: true });
chmodSync(folder, 0o700);
make('postgres-password', () => randomBytes(24).toString('hex'));
const password = readFileSync(join(folder, 'postgres-password'), 'utf8').trim();
make('database-url', () => `postgres://muon:${password}@postgres:5432/muon`);
make('secret-keys', () => `k1:${randomBytes(32).toString('base64')}`);
make('bootstrap-token', () => execFileSync(process.execPath, [cli, 'token', 'generate'], { encoding: 'utf8' }).trim());
