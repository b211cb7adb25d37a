import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '#drivers';
import { readEndpoints, readOptions } from './options.js';

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

const endpointsOf = (overrides: Partial<BackendConnection>) => {
  const read = connection(overrides);
  return readEndpoints(read, readOptions(read, {}));
};

describe('the endpoint', () => {
  test('is a member over https, with certificates on both sides', () => {
    expect(endpointsOf({})).toEqual([{ url: 'https://10.0.0.1:8443', serverCertificate: certificate, client: { certificate, key } }]);
  });

  test('has others beside it, with the same certificates', () => {
    const options = { serverCertificate: certificate, otherEndpoints: ['https://10.0.0.2:8443', 'https://h3:8443/'] };
    expect(endpointsOf({ options })).toEqual(
      ['https://10.0.0.1:8443', 'https://10.0.0.2:8443', 'https://h3:8443'].map((url) => ({ url, serverCertificate: certificate, client: { certificate, key } })),
    );
  });

  test('or a socket, which needs none', () => {
    expect(endpointsOf({ endpoint: 'unix:/run/incus.socket', secret: null, options: {} })).toEqual([{ socketPath: '/run/incus.socket' }]);
  });

  test.each([
    ['http', { endpoint: 'http://10.0.0.1' }, 'endpoint'],
    ['no address', { endpoint: 'h1' }, 'endpoint'],
    ['no server certificate', { options: {} }, 'options.serverCertificate'],
    ['another that is none', { options: { serverCertificate: certificate, otherEndpoints: ['https://h2:8443', 'unix:/run/incus.socket'] } }, 'options.otherEndpoints.1'],
    ['another beside a socket', { endpoint: 'unix:/run/incus.socket', options: { otherEndpoints: ['https://h2:8443'] } }, 'options.otherEndpoints'],
    ['no secret', { secret: null }, 'secret'],
    ['a secret that is not JSON', { secret: key }, 'secret'],
    ['a secret with more in it', { secret: JSON.stringify({ certificate, key, password: 'canary' }) }, 'secret'],
  ])('%s is refused, naming the field and never the secret', (_what, overrides, field) => {
    expect(() => endpointsOf(overrides)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field }));
    expect(() => endpointsOf(overrides)).not.toThrow(/canary/);
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
