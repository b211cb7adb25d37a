import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { Client } from '../client.js';
import type { Context } from '../context.js';
import { usageFailure } from '../failure.js';
import { apiAddress, environmentToken, keepLogin, readToken } from '../settings.js';

export interface LoginOptions {
  token?: string;
  tokenFile?: string;
}

/** Keeps address and token, after the API has accepted them. */
export async function login({ output, url: named }: Context, options: LoginOptions): Promise<void> {
  const given = named ?? process.env['MUON_URL'];
  if (!given) throw usageFailure('Where is Muon? Give it by --url, as https://muon.example');
  const url = apiAddress(given);
  const token = await tokenOf(options);
  const { viewer } = await new Client({ url, token }).query<{ viewer: { id: string; name: string; kind: string } }>(
    '{ viewer { id name kind } }',
  );
  const file = await keepLogin({ url, token });
  output.record([['address', url], ['signed in as', viewer.name], ['id', viewer.id], ['kept in', file]], { url, viewer, file });
}

/** From a file or the environment, else asked for; `--token` shows in lists of processes and in the shell's history. */
async function tokenOf(options: LoginOptions): Promise<string> {
  if (options.token !== undefined) return options.token === '-' ? readToken('-') : options.token;
  if (options.tokenFile !== undefined) return readToken(options.tokenFile);
  const token = await environmentToken();
  if (token !== undefined) return token;
  return process.stdin.isTTY ? askForToken() : readToken('-');
}

async function askForToken(): Promise<string> {
  process.stderr.write('Token (is not shown): ');
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    const line = await new Promise<string>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(''));
    });
    if (line.trim() === '') throw usageFailure('Without a token nobody can sign in.');
    return line.trim();
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
