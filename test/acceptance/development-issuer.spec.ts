import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  randomPKCECodeVerifier,
  refreshTokenGrant,
  type Configuration,
} from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { ApiClient } from '../support/client.js';
import { PROJECT } from '../support/composition.js';
import { MuonCommand } from '../support/muon.js';
import { freePort, SystemProcess } from '../support/system.js';

const CALLBACK = 'http://127.0.0.1:54321/callback';

describe('the development issuer of standalone', () => {
  const data = mkdtempSync(join(tmpdir(), 'muon-issuer-'));
  let ports: { api: number; issuer: number };
  let standalone: SystemProcess;
  let issuerUrl: string;
  let issuer: Configuration;
  const muon = new MuonCommand();

  async function start(): Promise<void> {
    const programArguments = ['--data', data, '--port', String(ports.api), '--issuer-port', String(ports.issuer)];
    const child = spawn(process.execPath, [join(PROJECT, 'dist/apps/standalone/src/main.js'), ...programArguments], { stdio: ['ignore', 'pipe', 'pipe'] });
    standalone = new SystemProcess('standalone', `http://127.0.0.1:${ports.api}`, child);
    await standalone.ready();
    issuer = await discovery(new URL(issuerUrl), 'muon-cli', undefined, None(), { execute: [allowInsecureRequests] });
  }

  beforeAll(async () => {
    // As root, the database runs as somebody else and must be able to enter.
    chmodSync(data, 0o755);
    ports = { api: await freePort(), issuer: await freePort() };
    issuerUrl = `http://127.0.0.1:${ports.issuer}`;
    await start();
  });
  afterAll(async () => {
    await standalone.stop();
    muon.remove();
    rmSync(data, { recursive: true, force: true });
  });

  interface Tokens {
    access: string;
    refresh: string;
  }

  /** Asks for a code as a program does, and picks somebody as a person would. */
  async function authorize(subject: string, browser = new Browser(issuerUrl)): Promise<{ redirected: URL; verifier: string }> {
    const verifier = randomPKCECodeVerifier();
    const parameters = { redirect_uri: CALLBACK, scope: 'openid offline_access', code_challenge: await calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' };
    const page = await browser.open(buildAuthorizationUrl(issuer, parameters).href);
    expect(page.body).toContain('Olga Operator');
    const { url } = await browser.submit(page, { subject });
    return { redirected: new URL(url), verifier };
  }
  const redeem = async ({ redirected, verifier }: { redirected: URL; verifier: string }): Promise<Tokens> => {
    const tokens = await authorizationCodeGrant(issuer, redirected, { pkceCodeVerifier: verifier });
    return { access: tokens.access_token, refresh: tokens.refresh_token ?? '' };
  };
  const signIn = async (subject: string): Promise<Tokens> => redeem(await authorize(subject));
  const refresh = async (token: string): Promise<Tokens> => {
    const tokens = await refreshTokenGrant(issuer, token);
    return { access: tokens.access_token, refresh: tokens.refresh_token ?? '' };
  };
  const client = (token: string): ApiClient => new ApiClient(standalone.url, token);

  it('gives JWT access tokens for Muon by a code with PKCE', async () => {
    const { access } = await signIn('olga');
    expect(decodeProtectedHeader(access)).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    expect(decodeJwt(access)).toMatchObject({ iss: issuerUrl, aud: 'muon', sub: 'olga', name: 'Olga Operator', groups: ['system-owners'] });
  });

  it.each([
    ['olga', ['example'], undefined, undefined],
    ['theo', ['example'], undefined, 'FORBIDDEN'],
    ['carla', [], 'NOT_FOUND', 'FORBIDDEN'],
    ['vera', ['example'], 'FORBIDDEN', 'FORBIDDEN'],
  ])('lets %s in with what they hold', async (subject, tenants, projectRefusal, zoneRefusal) => {
    interface Names {
      nodes: { id: string; name: string }[];
    }
    const lists = async (token: string): Promise<{ tenants: Names; projects: Names }> => client(token).request('{ tenants { nodes { id name } } projects { nodes { id name } } }');
    const { access } = await signIn(subject);
    const seen = await lists(access);
    expect(seen.tenants.nodes.map(({ name }) => name)).toEqual(tenants);
    expect(seen.projects.nodes.map(({ name }) => name)).toEqual(['web']);
    const [tenant] = (await lists((await signIn('olga')).access)).tenants.nodes;
    const code = async (mutation: string): Promise<string | undefined> => (await client(access).post(mutation)).errors[0]?.extensions.code;
    const project = `mutation { createProject(input: { tenantId: "${tenant?.id ?? ''}", name: "of-${subject}", dryRun: true }) { plan { id } } }`;
    expect([await code(project), await code('mutation { createZone(input: { name: "new", dryRun: true }) { plan { id } } }')]).toEqual([projectRefusal, zoneRefusal]);
  });

  it('asks in one browser for each sign-in who it is', async () => {
    const browser = new Browser(issuerUrl);
    const first = await redeem(await authorize('theo', browser));
    for (const subject of ['vera', 'vera', 'olga']) {
      const { access } = await redeem(await authorize(subject, browser));
      expect(decodeJwt(access)['sub']).toBe(subject);
    }
    expect(decodeJwt((await refresh(first.refresh)).access)['sub']).toBe('theo');
  });

  it('takes a code once: a second use is refused, and ends what the first one gave', async () => {
    const authorized = await authorize('olga');
    const tokens = await redeem(authorized);
    await expect(redeem(authorized)).rejects.toMatchObject({ error: 'invalid_grant' });
    await expect(refresh(tokens.refresh)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('takes a code only with its verifier', async () => {
    const { redirected } = await authorize('olga');
    await expect(redeem({ redirected, verifier: randomPKCECodeVerifier() })).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('asks for PKCE, and sends codes to programs of this machine only', async () => {
    const browser = new Browser(issuerUrl);
    const ask = (change: Record<string, string>): URL =>
      buildAuthorizationUrl(issuer, { redirect_uri: CALLBACK, scope: 'openid', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256', ...change });
    const plain = ask({});
    plain.searchParams.delete('code_challenge');
    plain.searchParams.delete('code_challenge_method');
    expect(new URL((await browser.open(plain.href)).url).searchParams.get('error')).toBe('invalid_request');
    const elsewhere = await browser.open(ask({ redirect_uri: 'https://elsewhere.example/callback' }).href);
    expect(elsewhere).toMatchObject({ status: 400 });
    expect(elsewhere.body).toContain('invalid_redirect_uri');
  });

  it('takes a refresh token once: a second use is refused, and ends the sign-in for whoever has the newer one', async () => {
    const first = await signIn('olga');
    const second = await refresh(first.refresh);
    const who = '{ viewer { name bindings { role principalId } } }';
    const bindings = [{ role: 'OWNER', principalId: null }];
    expect(await client(second.access).request(who)).toEqual({ viewer: { name: 'Olga Operator', bindings } });
    await expect(refresh(first.refresh)).rejects.toMatchObject({ error: 'invalid_grant' });
    await expect(refresh(second.refresh)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('signs in a device, when somebody confirms its code, and only once', async () => {
    const device = await initiateDeviceAuthorization(issuer, { scope: 'openid offline_access' });
    const browser = new Browser(issuerUrl);
    const wrong = await browser.submit(await browser.open(device.verification_uri), {}, { user_code: 'AAAA-AAAA' });
    expect(wrong.body).toContain('no code that a device shows');
    const confirm = await browser.open(device.verification_uri_complete ?? '');
    expect(confirm.body).toContain(device.user_code);
    const done = await browser.submit(await browser.submit(confirm), { subject: 'vera' });
    expect(done.body).toContain('Signed in');
    const tokens = await pollDeviceAuthorizationGrant(issuer, device);
    expect(decodeJwt(tokens.access_token)['sub']).toBe('vera');
    await expect(pollDeviceAuthorizationGrant(issuer, device)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('does not sign in a device that somebody has not asked for', async () => {
    const device = await initiateDeviceAuthorization(issuer, { scope: 'openid' });
    const browser = new Browser(issuerUrl);
    await browser.submit(await browser.open(device.verification_uri_complete ?? ''), { abort: 'yes' });
    await expect(pollDeviceAuthorizationGrant(issuer, device)).rejects.toMatchObject({ error: 'access_denied' });
  });

  it('answers by its own name only, and loads nothing from elsewhere', async () => {
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request(`${issuerUrl}/device`, { headers: { host } }, (response) => resolve(response.resume().statusCode)).once('error', reject).end();
      });
    expect(await statusFor(`127.0.0.1:${ports.issuer}`)).toBe(200);
    expect(await statusFor(`rebound.example:${ports.issuer}`)).toBe(421);
    const page = await fetch(`${issuerUrl}/device`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await page.text()).not.toMatch(/https?:\/\/(?!127\.0\.0\.1)/);
  });

  it('is told to programs before anybody has signed in', async () => {
    const response = await fetch(`${standalone.url}/.well-known/muon`);
    expect(await response.json()).toEqual({ issuers: [{ name: 'development', url: issuerUrl, audience: 'muon', clientId: 'muon-cli' }] });
  });

  describe('with the muon command', () => {
    const settings = (): string => join(muon.home, 'muon', 'config.json');
    const kept = (): { token: string; session: { refreshToken: string; expiresAt: number } } => JSON.parse(readFileSync(settings(), 'utf8')) as never;

    it('signs in by the device flow', async () => {
      const browser = new Browser(issuerUrl);
      const running = muon.run(['login', '--device', '--url', standalone.url, '--output', 'json'], '', async (stderr) => {
        const address = /Open (\S+)/.exec(stderr)?.[1];
        if (address === undefined) return false;
        await browser.submit(await browser.submit(await browser.open(address)), { subject: 'theo' });
        return true;
      });
      const { code, stdout, stderr } = await running;
      expect([code, stderr.includes('see that it shows the code')]).toEqual([0, true]);
      expect(JSON.parse(stdout)).toMatchObject({ url: standalone.url, viewer: { name: 'Theo Tenant', kind: 'USER' } });
      expect(statSync(settings()).mode & 0o777).toBe(0o600);
      expect(await muon.run(['cluster', 'list'])).toMatchObject({ code: 0 });
    });

    it('renews its token when that grows old, once for many commands at a time', async () => {
      const before = kept();
      writeFileSync(settings(), JSON.stringify({ ...before, session: { ...before.session, expiresAt: Date.now() } }));
      const ended = await Promise.all(Array.from({ length: 4 }, () => muon.run(['cluster', 'list'])));
      expect(ended.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      expect(kept().session.refreshToken).not.toBe(before.session.refreshToken);
      expect(kept().session.expiresAt).toBeGreaterThan(Date.now());
    });

    it('goes on after a restart, by the same keys and sessions', async () => {
      const before = kept();
      await standalone.stop();
      await start();
      expect(await muon.run(['cluster', 'list'])).toMatchObject({ code: 0 });
      writeFileSync(settings(), JSON.stringify({ ...before, session: { ...before.session, expiresAt: Date.now() } }));
      expect(await muon.run(['cluster', 'list'])).toMatchObject({ code: 0 });
      expect(decodeProtectedHeader(kept().token)['kid']).toBe(decodeProtectedHeader(before.token)['kid']);
    });

    it('says how to go on when the sign-in has ended', async () => {
      const before = kept();
      writeFileSync(settings(), JSON.stringify({ ...before, session: { ...before.session, refreshToken: 'gone', expiresAt: Date.now() } }));
      const { code, stderr } = await muon.run(['cluster', 'list']);
      expect([code, stderr.trim()]).toEqual([2, `The sign-in has ended. Log in again: muon login --url ${standalone.url}`]);
    });

    it('signs out, so that what was kept of the sign-in renews nothing', async () => {
      const muonAgain = new MuonCommand();
      try {
        const browser = new Browser(issuerUrl);
        const { code } = await muonAgain.run(['login', '--device', '--url', standalone.url], '', async (stderr) => {
          const address = /Open (\S+)/.exec(stderr)?.[1];
          if (address === undefined) return false;
          await browser.submit(await browser.submit(await browser.open(address)), { subject: 'vera' });
          return true;
        });
        expect(code).toBe(0);
        const file = join(muonAgain.home, 'muon', 'config.json');
        const { session } = JSON.parse(readFileSync(file, 'utf8')) as { session: { refreshToken: string } };
        expect(await muonAgain.json('logout')).toEqual({ url: standalone.url, isEnded: true });
        expect(existsSync(file)).toBe(false);
        await expect(refresh(session.refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' });
        expect(await muonAgain.run(['cluster', 'list'])).toMatchObject({ code: 2 });
        expect(await muonAgain.json('logout')).toEqual({ url: null, isEnded: true });
      } finally {
        muonAgain.remove();
      }
    });

    it('asks which issuer, where it cannot know', async () => {
      const other = await muon.run(['login', '--issuer', 'nowhere', '--url', standalone.url]);
      expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('offers no issuer "nowhere"')]);
      const half = await muon.run(['login', '--client-id', 'x', '--url', standalone.url]);
      expect(half.code).toBe(2);
    });
  });
});
