import { describe, expect, it } from 'vitest';
import { createLogger } from '#core';
import type { BackendConnection } from '#drivers';
import { driversOf } from './backends.js';

const PEM = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n';
const factory = driversOf({ MUON_FENCE_COMMAND: undefined }, createLogger('backends', 'silent')).find(({ kind }) => kind === 'incus');

const connection = (network: unknown, secret: object = {}): BackendConnection => ({
  backendId: 'bck_1',
  installationId: 'ins_1',
  endpoint: 'https://127.0.0.1:1',
  secret: JSON.stringify({ certificate: PEM, key: PEM, ...secret }),
  options: { serverCertificate: PEM, ...(network === undefined ? {} : { network }) },
});
const NETWORK = { northbound: ['tcp:127.0.0.1:1'], southbound: ['tcp:127.0.0.1:1'], connectTimeoutMs: 100 };

describe('an Incus backend', () => {
  it('offers no network without one, and no fence without a program for it', async () => {
    const driver = await factory?.connect(connection(undefined));
    expect(driver?.capabilities).toMatchObject({ compute: true, network: false, loadBalancer: false, fence: false });
    await driver?.close();
  });

  it.each([
    ['endpoints that make no sense', { ...NETWORK, northbound: ['h1'] }, {}, 'options.network.northbound.0'],
    ['an unknown option', { ...NETWORK, colour: 'red' }, {}, 'options.network'],
    ['a private key among the options', { ...NETWORK, tls: { privateKey: 'canary' } }, {}, 'options.network.tls.privateKey'],
    ['a text for what TLS needs', { ...NETWORK, tls: 'canary' }, {}, 'options.network.tls'],
    ['a yes for what TLS needs', { ...NETWORK, tls: true }, {}, 'options.network.tls'],
    ['a secret of another shape', NETWORK, { network: { password: 'canary' } }, 'secret.network.privateKey'],
  ])('refuses %s, naming the field and never the secret', async (_what, network, secret, field) => {
    const refused = factory?.connect(connection(network, secret));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT', field });
    await expect(refused).rejects.not.toThrow(/canary/);
  });

  it('says that OVN cannot be reached, and that soon', async () => {
    await expect(factory?.connect(connection(NETWORK))).rejects.toMatchObject({ retryable: true });
  });
});
