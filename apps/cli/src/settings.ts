import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { usageFailure } from './failure.js';

/** Where Muon is and who is asking. */
export interface Login {
  url: string;
  token: string;
  /** Of a sign-in by an issuer, whose tokens are short-lived and renewed; not there for a token of Muon's own. */
  session?: Session;
}

export interface Session {
  issuer: string;
  clientId: string;
  /** Of the access token, in milliseconds since 1970. */
  expiresAt: number;
  refreshToken?: string;
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
  const token = await environmentToken();
  if (token !== undefined) return { url: address, token };
  if (kept?.url !== address) {
    throw usageFailure(`There is no token for ${address}. Set MUON_TOKEN or MUON_TOKEN_FILE, or log in: muon login --url ${address}`);
  }
  return kept;
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

/** Removes what the last `muon login` has kept. */
export async function forgetLogin(): Promise<void> {
  await rm(settingsFile(), { force: true });
}

/** What the last `muon login` has kept; undefined before the first. */
export async function keptLogin(): Promise<Login | undefined> {
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
    const { url, token, session } = JSON.parse(text) as Partial<Login>;
    if (typeof url === 'string' && typeof token === 'string') return session === undefined ? { url, token } : { url, token, session: checkedSession(session) };
  } catch {
    // Told below, in words that help.
  }
  throw usageFailure(`${file} is not what "muon login" writes. Log in again.`);
}

function checkedSession({ issuer, clientId, expiresAt, refreshToken }: Partial<Session>): Session {
  const isWhole = typeof issuer === 'string' && typeof clientId === 'string' && typeof expiresAt === 'number';
  if (!isWhole || !['string', 'undefined'].includes(typeof refreshToken)) throw new TypeError('no session');
  return { issuer, clientId, expiresAt, ...(refreshToken === undefined ? {} : { refreshToken }) };
}

const LOCK_PAUSE_MS = 100;
const LOCK_PATIENCE_MS = 120_000;

/** Holds back other commands of the same person while the work changes what is kept. One that has died holds nobody. */
export async function withSettingsLock<T>(work: () => Promise<T>): Promise<T> {
  const lock = `${settingsFile()}.lock`;
  await mkdir(dirname(lock), { recursive: true, mode: 0o700 });
  const deadline = Date.now() + LOCK_PATIENCE_MS + 10_000;
  while (!(await take(lock))) {
    if (Date.now() > deadline) throw usageFailure(`Another command holds ${lock}. Remove it if none is running.`);
    await pause(LOCK_PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function take(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx', mode: OWNER_ONLY });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const { mtimeMs } = await stat(lock).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() - mtimeMs > LOCK_PATIENCE_MS) await rm(lock, { force: true });
  return false;
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
