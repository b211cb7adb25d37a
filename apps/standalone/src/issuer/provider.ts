import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { Provider, type Configuration, type JWKS, type KoaContextWithOIDC } from 'oidc-provider';
import { codePage, confirmPage, donePage, PAGE_POLICY, problemPage } from './pages.js';
import { PEOPLE } from './people.js';
import { readFileIfThere, writePrivate, type IssuerStore } from './store.js';

export const AUDIENCE = 'muon';
export const CLIENT_ID = 'muon-cli';
/** What tokens are asked for; clients need not name it. */
const RESOURCE = 'urn:muon:api';
const MINUTE = 60;
const DAY = 86_400;

interface Keys {
  jwks: { keys: JWK[] };
  cookieKeys: string[];
}

/** The keys of an issuer, made at the first start and kept in a file. */
export async function issuerKeys(directory: string): Promise<Keys> {
  const file = join(directory, 'issuer-keys.json');
  const text = await readFileIfThere(file);
  if (text !== undefined) return JSON.parse(text) as Keys;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const key = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: randomBytes(8).toString('hex') };
  const made: Keys = { jwks: { keys: [key] }, cookieKeys: [randomBytes(32).toString('base64url')] };
  await writePrivate(file, JSON.stringify(made));
  return made;
}

/** An OpenID Connect provider that signs in whoever is picked, for one public client: the `muon` command. */
export function makeProvider(url: string, keys: Keys, store: IssuerStore): Provider {
  const provider: Provider = new Provider(url, {
    ...configuration(keys, store),
    // The one client is ours and people are not asked for their consent: each sign-in gets a grant of its own.
    async loadExistingGrant(context) {
      const { client, session } = context.oidc;
      if (client === undefined || session?.accountId === undefined) return undefined;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid offline_access');
      grant.addResourceScope(RESOURCE, AUDIENCE);
      await grant.save();
      return grant;
    },
  });
  return provider;
}

function configuration({ jwks, cookieKeys }: Keys, store: IssuerStore): Configuration {
  return {
    adapter: (model) => store.adapter(model),
    jwks: jwks as JWKS,
    cookies: { keys: cookieKeys },
    clients: [
      {
        client_id: CLIENT_ID,
        client_name: 'The muon command',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        // Any port of this machine, as RFC 8252, 7.3 has it.
        redirect_uris: ['http://127.0.0.1/callback'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access'],
    issueRefreshToken: async () => true,
    // Each may be used once; a second use ends the whole grant, as somebody else must have it.
    rotateRefreshToken: true,
    extraTokenClaims: async (_context, token) => {
      const person = PEOPLE.find(({ subject }) => 'accountId' in token && subject === token.accountId);
      return person === undefined ? undefined : { name: person.name, email: person.email, groups: [person.group] };
    },
    findAccount: async (_context, subject) =>
      PEOPLE.some((person) => person.subject === subject) ? { accountId: subject, claims: async () => ({ sub: subject }) } : undefined,
    // Programs of this machine are asked about each time (RFC 8252, 8.6), so that somebody is picked for each sign-in.
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    expiresWithSession: async () => false,
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => RESOURCE,
        useGrantedResource: async () => true,
        getResourceServerInfo: async () => ({
          scope: AUDIENCE,
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 10 * MINUTE,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: async (context, form, _out, error) => {
          showPage(context, codePage(form, error === undefined ? undefined : 'This is no code that a device shows now. Try again.'));
        },
        userCodeConfirmSource: async (context, form, _client, _device, code) => {
          showPage(context, confirmPage(form, code));
        },
        successSource: async (context) => {
          showPage(context, donePage());
        },
      },
    },
    renderError: async (context, { error, error_description: description }) => {
      showPage(context, problemPage(error, description));
    },
    ttl: {
      AuthorizationCode: MINUTE,
      DeviceCode: 10 * MINUTE,
      Grant: 14 * DAY,
      IdToken: 10 * MINUTE,
      Interaction: 10 * MINUTE,
      RefreshToken: 14 * DAY,
      Session: DAY,
    },
  };
}

/** Pages of the library's own, which send their form by themselves, say their policy themselves. */
function showPage(context: KoaContextWithOIDC, body: string): void {
  context.set('content-security-policy', PAGE_POLICY);
  context.type = 'html';
  context.body = body;
}
