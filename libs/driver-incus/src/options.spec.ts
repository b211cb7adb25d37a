import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '#drivers';
import { readEndpoint, readOptions } from './options.js';

const certificate = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n';
const key = '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n';

const connection = (overrides: Partial<BackendConnection> = {}): BackendConnection => ({
  backendId: 'backend_1',
  installationId: 'installation_1',
  endpoint: 'https://10.0.0.1:8443',
  secret: JSON.stringify({ certificate, key }),
  options: { serverCertificate: certificate },
  ...overrides,
});

const endpointOf = (overrides: Partial<BackendConnection>) => {
  const read = connection(overrides);
  return readEndpoint(read, readOptions(read, {}));
};

describe('the endpoint', () => {
  test('is a member over https, with certificates on both sides', () => {
    expect(endpointOf({})).toEqual({ url: 'https://10.0.0.1:8443', serverCertificate: certificate, client: { certificate, key } });
  });

  test('or a socket, which needs none', () => {
    expect(endpointOf({ endpoint: 'unix:/run/incus.socket', secret: null, options: {} })).toEqual({ socketPath: '/run/incus.socket' });
  });

  test.each([
    ['http', { endpoint: 'http://10.0.0.1' }, 'endpoint'],
    ['no address', { endpoint: 'h1' }, 'endpoint'],
    ['no server certificate', { options: {} }, 'options.serverCertificate'],
    ['no secret', { secret: null }, 'secret'],
    ['a secret that is not JSON', { secret: key }, 'secret'],
    ['a secret with more in it', { secret: JSON.stringify({ certificate, key, password: 'canary' }) }, 'secret'],
  ])('%s is refused, naming the field and never the secret', (_what, overrides, field) => {
    expect(() => endpointOf(overrides)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field }));
    expect(() => endpointOf(overrides)).not.toThrow(/canary/);
  });
});

describe('options', () => {
  test.each([
    ['an unknown one', { colour: 'red' }, 'options'],
    ['a key that is the driver’s own', { instanceConfig: { 'limits.cpu': '8' } }, 'options.instanceConfig'],
    ['a trait with capitals', { hosts: { h1: { traits: ['SSD'] } } }, 'options.hosts.h1.traits.0'],
    ['no creations at all', { createsPerMember: 0 }, 'options.createsPerMember'],
  ])('%s is refused', (_what, options, field) => {
    expect(() => readOptions(connection({ options }), {})).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field }));
  });

  test('a backend’s own go before those of the process', () => {
    const read = readOptions(connection({ options: { profiles: ['own'] } }), { profiles: ['shared'], bridge: 'br-shared' });
    expect([read.profiles, read.bridge]).toEqual([['own'], 'br-shared']);
  });
});
