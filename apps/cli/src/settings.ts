import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { usageFailure } from './failure.js';

/** Where Muon is and who is asking. */
export interface Login {
  url: string;
  token: string;
}

const OWNER_ONLY = 0o600;

export function settingsFile(): string {
  const base = process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  return join(base, 'muon', 'config.json');
}

/**
 * MUON_URL, and MUON_TOKEN or the file that MUON_TOKEN_FILE names; what is not set comes from the last `muon login`. A
 * token that is kept for one address is never sent to another.
 * @throws Failure (USAGE) that says what to do
 */
export async function currentLogin(urlOption?: string): Promise<Login> {
  const kept = await keptLogin();
  const url = urlOption ?? (process.env['MUON_URL'] || kept?.url);
  if (url === undefined) throw usageFailure('Where is Muon? Set MUON_URL, or log in: muon login --url <address>');
  const address = apiAddress(url);
  const token = (await environmentToken()) ?? (kept?.url === address ? kept.token : undefined);
  if (token === undefined) {
    throw usageFailure(`There is no token for ${address}. Set MUON_TOKEN or MUON_TOKEN_FILE, or log in: muon login --url ${address}`);
  }
  return { url: address, token };
}

/** The address without a path: `https://muon.example`. */
export function apiAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') {
    throw usageFailure(`"${text}" is no address of an API; it looks like https://muon.example`);
  }
  return `${url.origin}${url.pathname.replace(/\/(graphql)?\/?$/, '')}`;
}

export async function keepLogin(login: Login): Promise<string> {
  const file = settingsFile();
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(login, null, 2)}\n`, { mode: OWNER_ONLY });
  await chmod(draft, OWNER_ONLY);
  await rename(draft, file);
  return file;
}

async function keptLogin(): Promise<Login | undefined> {
  const file = settingsFile();
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw usageFailure(`${file} cannot be read: ${error.message}`);
  });
  if (text === undefined) return undefined;
  const { mode } = await stat(file);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw usageFailure(`${file} holds a token and others may read it. Run: chmod 600 ${file}`);
  }
  try {
    const { url, token } = JSON.parse(text) as Partial<Login>;
    if (typeof url === 'string' && typeof token === 'string') return { url, token };
  } catch {
    // Told below, in words that help.
  }
  throw usageFailure(`${file} is not what "muon login" writes. Log in again.`);
}

export async function environmentToken(): Promise<string | undefined> {
  const { MUON_TOKEN: token, MUON_TOKEN_FILE: file } = process.env;
  if (token) return token.trim();
  return file ? readToken(file) : undefined;
}

/** @param file `-` is standard input */
export async function readToken(file: string): Promise<string> {
  const reading = file === '-' ? readAll(process.stdin) : readFile(file, 'utf8');
  const text = await reading.catch((error: Error) => {
    throw usageFailure(`The token cannot be read from ${file}: ${error.message}`);
  });
  const token = text.trim();
  if (token === '') throw usageFailure(`There is no token in ${file === '-' ? 'standard input' : file}.`);
  return token;
}
