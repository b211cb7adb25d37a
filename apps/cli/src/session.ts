import type { Configuration, TokenEndpointResponse, TokenEndpointResponseHelpers } from 'openid-client';
import { ExitCode } from './exit-code.js';
import { Failure, usageFailure } from './failure.js';
import { keepLogin, keptLogin, withSettingsLock, type Login, type Session } from './settings.js';

/** An access token is renewed when it has less than this left, so that a request which takes its time still holds. */
const RENEW_BEFORE_MS = 30_000;
/** Where an issuer does not say how long its access tokens hold. */
const ASSUMED_LIFE_SECONDS = 300;
const ISSUER_TIMEOUT_SECONDS = 30;
const OFFER_TIMEOUT_MS = 10_000;

/** An issuer that people sign in with, as the server names it. */
export interface IssuerOffer {
  name: string;
  url: string;
  clientId: string;
}

/** The issuers that a server offers; none of one that is older, or that has none. */
export async function offeredIssuers(url: string): Promise<IssuerOffer[]> {
  const response = await fetch(`${url}/.well-known/muon`, { redirect: 'error', signal: AbortSignal.timeout(OFFER_TIMEOUT_MS) }).catch(() => undefined);
  if (response?.status !== 200) return [];
  const { issuers } = (await response.json().catch(() => ({}))) as { issuers?: Partial<IssuerOffer>[] };
  return (Array.isArray(issuers) ? issuers : []).flatMap(({ name, url: issuer, clientId }) =>
    typeof name === 'string' && typeof issuer === 'string' && typeof clientId === 'string' ? [{ name, url: issuer, clientId }] : [],
  );
}

/**
 * Signs in by another device, as a browser (RFC 8628).
 * @param tell shows where to go, and the code to compare there
 * @throws Failure REFUSED when nobody confirmed in time, or refused; UNREACHABLE when the issuer does not answer
 */
export async function signInByDevice(
  offer: Pick<IssuerOffer, 'url' | 'clientId'>,
  tell: (address: string, code: string) => void,
): Promise<Pick<Login, 'token' | 'session'>> {
  return asking(offer.url, async () => {
    const oidc = await import('openid-client');
    const issuer = await discover(offer.url, offer.clientId);
    const device = await oidc.initiateDeviceAuthorization(issuer, { scope: 'openid offline_access' });
    tell(device.verification_uri_complete ?? device.verification_uri, device.user_code);
    const tokens = await oidc.pollDeviceAuthorizationGrant(issuer, device);
    return loginOf(tokens, { issuer: offer.url, clientId: offer.clientId });
  });
}

/**
 * The login with an access token that still holds, renewed and kept if need be. One command at a time renews: a refresh
 * token may be used once, and issuers take a second use for theft.
 * @throws Failure USAGE when the sign-in has ended
 */
export async function currentSession(login: Login): Promise<Login> {
  if (!isOld(login)) return login;
  return withSettingsLock(async () => {
    const kept = await keptLogin();
    if (kept?.session !== undefined && kept.url === login.url && !isOld(kept)) return kept;
    const { session } = kept?.url === login.url ? kept : login;
    if (session?.refreshToken === undefined) throw ended(login.url);
    const { issuer, clientId, refreshToken } = session;
    const renewed = await asking(issuer, async () => {
      const oidc = await import('openid-client');
      return oidc.refreshTokenGrant(await discover(issuer, clientId), refreshToken);
    }).catch((error: unknown) => {
      if (error instanceof Failure && error.exitCode === ExitCode.REFUSED) throw ended(login.url);
      throw error;
    });
    const next = { url: login.url, ...loginOf(renewed, { issuer, clientId, refreshToken }) };
    await keepLogin(next);
    return next;
  });
}

/**
 * Tells the issuer that the sign-in has ended, so that a copy of what was kept of it renews nothing (RFC 7009).
 * @returns whether the issuer has heard; one that is away, or takes no such word, has not
 */
export async function endSession({ issuer, clientId, refreshToken }: Session): Promise<boolean> {
  if (refreshToken === undefined) return true;
  const told = asking(issuer, async () => {
    const oidc = await import('openid-client');
    await oidc.tokenRevocation(await discover(issuer, clientId), refreshToken, { token_type_hint: 'refresh_token' });
  });
  return told.then(
    () => true,
    () => false,
  );
}

function isOld({ session }: Login): boolean {
  return session !== undefined && session.expiresAt - Date.now() < RENEW_BEFORE_MS;
}

function ended(url: string): Failure {
  return usageFailure(`The sign-in has ended. Log in again: muon login --url ${url}`);
}

function loginOf(
  tokens: TokenEndpointResponse & TokenEndpointResponseHelpers,
  known: Pick<Session, 'issuer' | 'clientId' | 'refreshToken'>,
): Pick<Login, 'token' | 'session'> {
  const refreshToken = tokens.refresh_token ?? known.refreshToken;
  const expiresAt = Date.now() + (tokens.expiresIn() ?? ASSUMED_LIFE_SECONDS) * 1000;
  const { issuer, clientId } = known;
  return { token: tokens.access_token, session: { issuer, clientId, expiresAt, ...(refreshToken === undefined ? {} : { refreshToken }) } };
}

async function discover(issuer: string, clientId: string): Promise<Configuration> {
  const { allowInsecureRequests, discovery, None } = await import('openid-client');
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  if (url === undefined) throw usageFailure(`"${issuer}" is no address of an issuer; it looks like https://login.example`);
  const isHere = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  return discovery(url, clientId, undefined, None(), {
    execute: isHere ? [allowInsecureRequests] : [],
    timeout: ISSUER_TIMEOUT_SECONDS,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  access_denied: 'the sign-in was refused',
  expired_token: 'nobody confirmed the code in time',
};

/** What the issuer's library throws, in words of this command. */
async function asking<T>(issuer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure || !(error instanceof Error)) throw error;
    const { error: code, error_description: description } = error as Error & { error?: unknown; error_description?: unknown };
    if (typeof code === 'string') {
      const reason = REASONS[code] ?? (typeof description === 'string' ? description : code);
      throw new Failure(ExitCode.REFUSED, `The issuer ${issuer} did not sign you in: ${reason}.`);
    }
    throw new Failure(ExitCode.UNREACHABLE, `No answer from the issuer ${issuer}: ${error.message}.`);
  }
}
