import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failure } from '../../apps/lab/src/failure.js';
import { PHYSICAL_NETWORK } from '../../apps/lab/src/layout.js';
import { registerExternalNetwork } from '../../apps/lab/src/registration/external-network.js';
import { DemoApi } from '../../apps/standalone/src/demo/api.js';
import { describeTestDatacenter, type TestDatacenter } from '../support/datacenter.js';
import { startSystem, type System } from '../support/system.js';

/** A reason comes long before the minute that making may take. */
const AT_ONCE_MS = 20_000;

describe('the external network of a lab', () => {
  let system: System;
  let center: TestDatacenter;
  let api: DemoApi;

  beforeAll(async () => {
    system = await startSystem();
    center = await describeTestDatacenter(system);
    api = new DemoApi(system.owner.url, system.owner.token ?? '');
  });
  afterAll(async () => {
    await api.close();
    await center.close();
    await system.close();
  });

  async function connectAll(connected: boolean): Promise<void> {
    const world = await system.world(center.backendId);
    for (const { hostName } of await world.hostUsage()) await world.connectHost(hostName, PHYSICAL_NETWORK, connected);
  }

  async function register(): Promise<unknown> {
    const begun = performance.now();
    const outcome = await registerExternalNetwork(api, center.backendId).then(
      () => 'registered',
      (error: unknown) => error,
    );
    expect(performance.now() - begun).toBeLessThan(AT_ONCE_MS);
    return outcome;
  }

  const failed = expect.objectContaining({
    constructor: Failure,
    message: expect.stringMatching(/^The external network "internet" could not be made \(FAILED\)\. None of the backend's hosts .+ has a bridge to the physical network "physnet1"/) as string,
  }) as unknown;

  it('is not waited for once it has failed, and the reason is told, each time', async () => {
    await connectAll(false);
    expect(await register()).toEqual(failed);
    expect(await register()).toEqual(failed);
  });

  it('is made again when that has been mended', async () => {
    await connectAll(true);
    expect(await register()).toBe('registered');
    expect(await register()).toBe('registered');
  });
});
