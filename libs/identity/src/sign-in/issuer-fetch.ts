import { lookup, Resolver } from 'node:dns/promises';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { MuonError } from '#core';
import { addressProblem, mayConnect, type IssuerPolicy } from '../issuer/issuer.js';

/** Far more than any key set or discovery document has. */
const MAX_BYTES = 262_144;
const TIMEOUT_MS = 3000;
const DNS_TIMEOUT_MS = 1500;

/** The IP addresses of a host name. */
export type AddressResolver = (host: string) => Promise<{ address: string; family: 4 | 6 }[]>;

export interface IssuerFetchOptions {
  policy: IssuerPolicy;
  /** Tenants' issuers are held to public addresses; operators know their own network. */
  isOfTenant: boolean;
  /** For specs; DNS without it. */
  resolve?: AddressResolver | undefined;
}

/**
 * Reads a JSON document of an issuer. An address that somebody else chose must not lead into the operator's network, so
 * redirects are not followed, and the address that is connected to is the very one that was looked at: a name that
 * answers otherwise the second time gains nothing.
 * @throws UNAVAILABLE, whatever the reason: the tokens of an issuer that cannot be asked are neither good nor bad
 */
export async function fetchJson(text: string, options: IssuerFetchOptions): Promise<unknown> {
  const problem = addressProblem(text, options.policy, options.isOfTenant);
  if (problem !== undefined) throw unavailable(problem);
  try {
    return JSON.parse(await get(new URL(text), options));
  } catch (error) {
    if (error instanceof MuonError) throw error;
    throw unavailable(error instanceof Error ? `${error.name}: ${error.message}` : 'no answer', error);
  }
}

function get(url: URL, options: IssuerFetchOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? secureRequest : plainRequest)(url, {
      agent: false,
      headers: { accept: 'application/json', 'user-agent': 'muon' },
      lookup: checkedLookup(options),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    request.once('error', reject);
    request.once('response', (response) => {
      // A request that is destroyed by us tells it here.
      response.once('error', reject);
      if (response.statusCode !== 200) {
        request.destroy(unavailable(`status ${String(response.statusCode)}`));
        return;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES) request.destroy(unavailable(`more than ${MAX_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    request.end();
  });
}

/** Called for names only: what is an address already was looked at before. */
function checkedLookup(options: IssuerFetchOptions): LookupFunction {
  const resolve = options.resolve ?? (options.isOfTenant ? resolveByDns : resolveBySystem);
  return (host, { all }, callback) => {
    resolve(host).then(
      (addresses) => {
        const [first] = addresses;
        const isRefused = options.isOfTenant && addresses.some(({ address }) => !mayConnect(address, options.policy));
        if (isRefused) callback(unavailable('the name leads to an address that is not public'), '', 0);
        else if (first === undefined || isIP(first.address) === 0) callback(unavailable('the name has no address'), '', 0);
        else if (all === true) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, '', 0),
    );
  };
}

/** What the operating system knows, its file of hosts among it. */
const resolveBySystem: AddressResolver = async (host) =>
  (await lookup(host, { all: true })).map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));

/** Without the threads of the process, which name servers of tenants that never answer would take from all others. */
const resolveByDns: AddressResolver = async (host) => {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 2 });
  const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  if (four.status === 'rejected' && six.status === 'rejected') throw four.reason;
  return [
    ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 as const })) : []),
    ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 as const })) : []),
  ];
};

/** The detail is for the log only: what answers where is not for tenants to learn. */
export function unavailable(detail: string, cause?: unknown): MuonError {
  return new MuonError('UNAVAILABLE', 'The issuer of this token cannot be asked for its keys now; try again.', {
    fault: 'ADMIN',
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
