import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Driver, DriverCall } from '#drivers';
import { incusDriverFactory } from './incus-driver.js';

/** What members of Incus 6.0 answer while their database has no leader, as seen in their logs and by the lab. */
const LEADERLESS = [
  'Failed to begin transaction: context deadline exceeded',
  'Failed to begin transaction: failed to create cowsql connection: no available cowsql leader server found',
  'no available cowsql leader server found',
  "Server isn't ready yet",
];

describe('while the cluster’s database elects a leader', () => {
  let folder: string;
  let driver: Driver;
  /** How many requests are answered without a leader before there is one. */
  let electing: number;
  let message: string;
  const server = createServer((_request, response) => {
    electing -= 1;
    if (electing >= 0) refuse(response, message);
    else response.end(JSON.stringify({ type: 'sync', status_code: 200, metadata: [] }));
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muon-election-'));
    const socket = join(folder, 'socket');
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    driver = await incusDriverFactory().connect({
      backendId: 'backend_1',
      installationId: 'installation_1',
      endpoint: `unix:${socket}`,
      secret: null,
      options: {},
    });
  });
  afterEach(async () => {
    await driver.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  const call = (timeoutMs: number): DriverCall => ({ idempotencyKey: 'call', timeoutMs, signal: new AbortController().signal });

  it.each(LEADERLESS)('a call waits for it after "%s"', async (said) => {
    [electing, message] = [2, said];
    expect(await driver.compute.listMachines(call(20_000), null, 10)).toEqual([]);
    expect(await driver.compute.getMachine(call(20_000), 'vm_1')).toBeUndefined();
  });

  it.each(LEADERLESS)('a call that waits in vain after "%s" is UNAVAILABLE, and may be tried again', async (said) => {
    [electing, message] = [Infinity, said];
    await expect(driver.compute.listMachines(call(1000), null, 10)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await expect(driver.compute.startMachine(call(1000), 'vm_1')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });
});

function refuse(response: ServerResponse, error: string): void {
  response.statusCode = 500;
  response.end(JSON.stringify({ type: 'error', error, error_code: 500 }));
}
