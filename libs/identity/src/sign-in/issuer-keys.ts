import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { backoffMs, MuonError, type Logger } from '#core';
import type { IssuerPolicy, IssuerRow } from '../issuer/issuer.js';
import { fetchJson, unavailable, type AddressResolver } from './issuer-fetch.js';

/** Keys are read anew after this time, whether or not a token needs others. */
const KEYS_AGE_MS = 600_000;
/** A token with a key that is not known has the keys read anew, at most this often. */
const COOL_DOWN_MS = 10_000;
const DISCOVERY_AGE_MS = 3_600_000;
/** An issuer that does not answer is left alone for a while, longer each time. */
const FAILING_BASE_MS = 1000;
const FAILING_MAX_MS = 30_000;
/** At once, of one process: none waits for another, the issuers of one tenant cannot take all, and all tenants nothing of the system's. */
const MAX_FETCHES_OF_TENANTS = 32;
const MAX_FETCHES_OF_SCOPE = 4;
/** Issuers whose keys a process holds. */
const MAX_ISSUERS = 1000;

export interface IssuerKeysOptions {
  policy: IssuerPolicy;
  /** For specs; DNS without it. */
  resolve?: AddressResolver;
  /** Told why an issuer could not be asked. */
  log?: Logger;
  /** For specs; how often unknown keys are looked for. */
  coolDownMs?: number;
}

interface Known {
  version: number;
  getKey: JWTVerifyGetKey;
}

/** The signing keys of issuers: read when first needed, kept, and read anew when they have grown old or have rotated. */
export class IssuerKeys {
  private readonly known = new Map<string, Known>();
  private readonly fetching = new Map<string, number>();
  private fetchesOfTenants = 0;

  constructor(private readonly options: IssuerKeysOptions) {}

  /** Finds the key of one token; UNAVAILABLE while the issuer does not answer. */
  of(issuer: IssuerRow): JWTVerifyGetKey {
    const known = this.known.get(issuer.id);
    if (known?.version === issuer.version) return known.getKey;
    const getKey = this.reader(issuer);
    this.known.delete(issuer.id);
    this.known.set(issuer.id, { version: issuer.version, getKey });
    if (this.known.size > MAX_ISSUERS) this.known.delete(this.known.keys().next().value ?? '');
    return getKey;
  }

  private reader(issuer: IssuerRow): JWTVerifyGetKey {
    const failing = { count: 0, until: 0 };
    let discovered: { uri: string; at: number } | undefined;
    const address = async (): Promise<string> => {
      if (issuer.jwks_uri !== null) return issuer.jwks_uri;
      if (discovered === undefined || performance.now() - discovered.at > DISCOVERY_AGE_MS) {
        discovered = { uri: await this.discover(issuer), at: performance.now() };
      }
      return discovered.uri;
    };
    const read = async (): Promise<Response> => {
      const wait = failing.until - performance.now();
      if (wait > 0) throw unavailable('it did not answer the last time, and is left alone for a while');
      try {
        const keys = await this.within(issuer, async () => this.fetch(issuer, await address()));
        failing.count = 0;
        return Response.json(keys);
      } catch (error) {
        failing.until = performance.now() + backoffMs(failing.count, FAILING_BASE_MS, FAILING_MAX_MS);
        failing.count += 1;
        const detail = error instanceof MuonError ? error.detail : undefined;
        this.options.log?.warn({ issuerId: issuer.id, detail, failures: failing.count }, 'an issuer could not be asked for its keys');
        throw error;
      }
    };
    // The address is the issuer's own: where its keys are read is decided by `read`.
    return createRemoteJWKSet(new URL(issuer.url), {
      [customFetch]: read,
      cacheMaxAge: KEYS_AGE_MS,
      cooldownDuration: this.options.coolDownMs ?? COOL_DOWN_MS,
    });
  }

  /** OpenID Connect Discovery 1.0, section 4: a document that speaks of another issuer is none of this one. */
  private async discover(issuer: IssuerRow): Promise<string> {
    const document = await this.fetch(issuer, `${issuer.url.replace(/\/$/, '')}/.well-known/openid-configuration`);
    const { issuer: named, jwks_uri: uri } = (document ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== issuer.url) throw unavailable('the discovery document names another issuer');
    if (typeof uri !== 'string') throw unavailable('the discovery document names no jwks_uri');
    return uri;
  }

  private fetch(issuer: IssuerRow, address: string): Promise<unknown> {
    const { policy, resolve } = this.options;
    return fetchJson(address, { policy, isOfTenant: issuer.tenant_id !== null, resolve });
  }

  private async within<T>({ scope_id: scope, tenant_id: tenant }: IssuerRow, work: () => Promise<T>): Promise<T> {
    const ofScope = this.fetching.get(scope) ?? 0;
    const tenants = tenant === null ? 0 : 1;
    if (ofScope >= MAX_FETCHES_OF_SCOPE || (tenants > 0 && this.fetchesOfTenants >= MAX_FETCHES_OF_TENANTS)) throw unavailable('too many issuers are being asked at once');
    this.fetchesOfTenants += tenants;
    this.fetching.set(scope, ofScope + 1);
    try {
      return await work();
    } finally {
      this.fetchesOfTenants -= tenants;
      const left = (this.fetching.get(scope) ?? 1) - 1;
      if (left === 0) this.fetching.delete(scope);
      else this.fetching.set(scope, left);
    }
  }
}

/** Whether an error says that the issuer could not be asked, and nothing of the token. */
export function isUnavailable(error: unknown): error is MuonError {
  return error instanceof MuonError && error.code === 'UNAVAILABLE';
}
