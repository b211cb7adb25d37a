import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { defineId } from '#core';

export const issuerId = defineId('iss');

/**
 * How an issuer may sign. Asymmetric ones only: with a shared secret whoever can check a token can make one, and a public
 * key taken for such a secret is how tokens are forged (RFC 8725, 2.1 and 3.1).
 */
export const SigningAlgorithm = {
  RS256: 'RS256',
  RS384: 'RS384',
  RS512: 'RS512',
  PS256: 'PS256',
  PS384: 'PS384',
  PS512: 'PS512',
  ES256: 'ES256',
  ES384: 'ES384',
  ES512: 'ES512',
  EdDSA: 'EdDSA',
} as const;
export type SigningAlgorithm = (typeof SigningAlgorithm)[keyof typeof SigningAlgorithm];

export const DEFAULT_ALGORITHMS: readonly SigningAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/** Who vouches for people: an OpenID Connect provider, of the system or of one tenant. */
export interface IssuerRow {
  id: string;
  scope_id: string;
  tenant_id: string | null;
  project_id: string | null;
  name: string;
  /** Exactly the `iss` of its tokens. */
  url: string;
  /** One of the `aud` of its tokens. */
  audience: string;
  /** Where its keys are; null when the discovery document says. */
  jwks_uri: string | null;
  /** The public client that the `muon` command signs in with. */
  client_id: string | null;
  subject_claim: string;
  name_claim: string;
  groups_claim: string | null;
  algorithms: SigningAlgorithm[];
  enabled: boolean;
  version: number;
  revision: number;
  created_at: Date;
}

/** What the operator lets issuers be, by configuration. */
export interface IssuerPolicy {
  /** Whether an address of this machine may be spoken to without TLS. */
  loopbackHttp: boolean;
  /** Networks, as `10.1.0.0/16`, in which issuers of tenants may be besides the public internet. */
  privateNetworks: readonly string[];
}

export const STRICT_POLICY: IssuerPolicy = { loopbackHttp: false, privateNetworks: [] };

/** Whether a text is a network as `10.1.0.0/16`. */
export function isNetwork(text: string): boolean {
  return ipaddr.isValidCIDR(text);
}

/** The host of an address, an IPv6 one without its brackets. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Whether the address is on this machine, as far as its text tells. */
function isLoopback(url: URL): boolean {
  const host = hostOf(url);
  return host === 'localhost' || (isIP(host) !== 0 && ipaddr.process(host).range() === 'loopback');
}

/** What is wrong with an address of an issuer or of its keys; undefined when nothing is. */
export function addressProblem(text: string, policy: IssuerPolicy, isOfTenant: boolean): string | undefined {
  if (text.length > 1000 || !URL.canParse(text)) return 'An https:// address is needed here.';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return 'The address must hold no user name, password or fragment.';
  const isPlain = url.protocol === 'http:' && isLoopback(url) && policy.loopbackHttp;
  if (url.protocol !== 'https:' && !isPlain) return 'The address must begin with https://.';
  const host = hostOf(url);
  if (isOfTenant && isIP(host) !== 0 && !mayConnect(host, policy)) return 'The address must be a public one.';
  return undefined;
}

/** Whether an issuer of a tenant may be at this IP address: tenants must not reach the operator's own networks through Muon. */
export function mayConnect(address: string, policy: IssuerPolicy): boolean {
  if (!ipaddr.isValid(address)) return false;
  // An IPv4 address inside of an IPv6 one counts as what it is.
  const parsed = ipaddr.process(address);
  // What is set apart for nothing counts as unicast; of IPv6 the internet is 2000::/3 alone (RFC 4291, 2.4).
  const isOfInternet = parsed.kind() === 'ipv4' || parsed.match(ipaddr.parseCIDR('2000::/3'));
  if (isOfInternet && parsed.range() === 'unicast') return true;
  return policy.privateNetworks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}
