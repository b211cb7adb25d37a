import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { Client } from '../client.js';
import type { Context } from '../context.js';
import { usageFailure } from '../failure.js';
import { offeredIssuers, signInByDevice, type IssuerOffer } from '../session.js';
import { apiAddress, environmentToken, keepLogin, readToken, type Login } from '../settings.js';

export interface LoginOptions {
  token?: string;
  tokenFile?: string;
  device?: boolean;
  issuer?: string;
  clientId?: string;
}

/** Keeps address and credential, after the API has accepted them. */
export async function login({ output, url: named }: Context, options: LoginOptions): Promise<void> {
  const given = named ?? process.env['MUON_URL'];
  if (!given) throw usageFailure('Where is Muon? Give it by --url, as https://muon.example');
  const url = apiAddress(given);
  const offer = await chosenIssuer(url, options);
  const made: Login = { url, ...(offer === undefined ? { token: await tokenOf(options) } : await signInByDevice(offer, tellDevice)) };
  const { viewer } = await new Client(made).query<{ viewer: { id: string; name: string; kind: string } }>(
    '{ viewer { id name kind } }',
  );
  const file = await keepLogin(made);
  const issuer: [string, string][] = offer === undefined ? [] : [['by', offer.url]];
  output.record([['address', url], ['signed in as', viewer.name], ['id', viewer.id], ...issuer, ['kept in', file]], { url, viewer, file });
}

function tellDevice(address: string, code: string): void {
  process.stderr.write(`Open ${address}\nand see that it shows the code ${code}\n`);
}

/** The issuer to sign in with; undefined when a token is given, or nobody can sign people in. */
async function chosenIssuer(url: string, options: LoginOptions): Promise<Pick<IssuerOffer, 'url' | 'clientId'> | undefined> {
  const { device, issuer, clientId } = options;
  if (clientId !== undefined) {
    if (issuer === undefined) throw usageFailure('With --client-id name the issuer too: --issuer https://login.example');
    return { url: issuer, clientId };
  }
  const isAsked = device === true || issuer !== undefined;
  const hasToken = options.token !== undefined || options.tokenFile !== undefined || (await environmentToken()) !== undefined;
  if (!isAsked && (hasToken || !process.stdin.isTTY)) return undefined;
  const offers = await offeredIssuers(url);
  const found = issuer === undefined ? offers : offers.filter((offer) => offer.name === issuer || offer.url === issuer);
  if (found.length > 1) throw usageFailure(`Which issuer? Name one by --issuer: ${found.map(({ name }) => name).join(', ')}`);
  if (found.length === 0 && isAsked) {
    throw usageFailure(`${url} offers no ${issuer === undefined ? 'issuer' : `issuer "${issuer}"`}. For one of a tenant give its URL and --client-id.`);
  }
  return found[0];
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
