import { typeidUnboxed } from 'typeid-js';
import { MuonError, sleep } from '#core';
import { incusDriverFactory, type IncusOptions } from '#driver-incus';
import type { DiskSpecification, Driver, DriverCall, MachineSpecification, Outcome } from '#drivers';
import { IncusError } from '#incus';
import { INCUS_SOCKET } from '../../apps/lab/src/host/host.js';
import { pathOn } from '../../apps/lab/src/host/namespace.js';
import { POOL, PROFILE, TINY_IMAGE } from '../../apps/lab/src/layout.js';
import type { Lab } from './lab.js';

export type Attempt<Value = unknown> = (driver: Driver, call: DriverCall) => Promise<Outcome<Value>>;

const PATIENCE_MS = 60_000;
const PAUSE_MS = 200;
const CALL_TIMEOUT_MS = 30_000;

export const ownership = { installationId: 'installation_lab', tenantId: 'tenant_lab', projectId: 'project_lab' };

export const look = (overrides: Partial<DriverCall> = {}): DriverCall => ({
  idempotencyKey: typeidUnboxed('call'),
  timeoutMs: CALL_TIMEOUT_MS,
  signal: new AbortController().signal,
  ...overrides,
});

/** Connections of the Incus driver to members of the lab, what is made through them, and how that is removed again. */
export class DriverBench {
  private readonly made: Attempt<void>[] = [];
  private turn = 0;

  private constructor(readonly drivers: readonly [Driver, ...Driver[]]) {}

  /** One driver for each host, each as another process would have it. */
  static async connect(lab: Lab, hosts: readonly [string, ...string[]], options: IncusOptions = {}): Promise<DriverBench> {
    const connected = hosts.map(async (host) =>
      incusDriverFactory().connect({
        backendId: 'backend_lab',
        installationId: ownership.installationId,
        endpoint: `unix:${pathOn(await lab.machine(host), INCUS_SOCKET)}`,
        secret: null,
        options: { profiles: [PROFILE], ...options },
      }),
    );
    return new DriverBench((await Promise.all(connected)) as [Driver, ...Driver[]]);
  }

  get driver(): Driver {
    return this.drivers[0];
  }

  /** Repeats the call, as an operation does, until it is DONE. @throws what no repeat would mend */
  async finish<Value>(attempt: Attempt<Value>, overrides: Partial<DriverCall> = {}, driver = this.driver): Promise<Value> {
    const call = look(overrides);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      let why: unknown;
      try {
        const outcome = await attempt(driver, call);
        if (outcome.state === 'DONE') return outcome.value;
      } catch (error) {
        if (!(error instanceof MuonError) || !error.retryable) throw error;
        why = error;
      }
      if (Date.now() > deadline) throw new Error(`The call did not end within ${PATIENCE_MS} ms.`, { cause: why });
      await sleep(PAUSE_MS);
    }
  }

  /**
   * All of them at once, each through another member than the one before. @returns of each its name and end: DONE, or the
   * code of an error that no repeat would mend, with the message where it is Incus that refused
   */
  async atOnce(calls: readonly (readonly [name: string, attempt: Attempt])[]): Promise<string[]> {
    return Promise.all(calls.map(async ([name, attempt]) => `${name}: ${await this.end(attempt)}`));
  }

  diskOf(overrides: Partial<DiskSpecification> = {}): DiskSpecification {
    const diskId = typeidUnboxed('disk');
    this.made.push(async ({ storage }, call) => storage.deleteDisk(call, diskId));
    return { diskId, ownership, poolName: POOL, hostName: 'h2', sizeGib: 1, iopsLimit: null, imageReference: TINY_IMAGE, ...overrides };
  }

  async disk(overrides: Partial<DiskSpecification> = {}): Promise<DiskSpecification> {
    const disk = this.diskOf(overrides);
    await this.finish(async ({ storage }, call) => storage.createDisk(call, disk));
    return disk;
  }

  /** On a root disk that is there. */
  async machineOf(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
    const hostName = overrides.hostName ?? 'h2';
    const { diskId } = await this.disk({ hostName });
    const machineId = typeidUnboxed('vm');
    this.made.push(async ({ compute }, call) => compute.deleteMachine(call, machineId));
    return {
      machineId,
      hostname: 'guest-of-a-tenant',
      ownership,
      hostName,
      imageReference: TINY_IMAGE,
      cpu: 1,
      memoryMib: 128,
      interfaces: [],
      diskIds: [diskId],
      userData: '#cloud-config\n{}\n',
      ...overrides,
    };
  }

  async machine(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
    const machine = await this.machineOf(overrides);
    await this.finish(async ({ compute }, call) => compute.createMachine(call, machine));
    return machine;
  }

  /** The last that was made first. */
  async clear(): Promise<void> {
    for (const remove of this.made.splice(0).reverse()) await this.finish(remove);
  }

  async close(): Promise<void> {
    for (const driver of this.drivers) await driver.close();
  }

  private next(): Driver {
    this.turn += 1;
    return this.drivers[this.turn % this.drivers.length] ?? this.driver;
  }

  private async end(attempt: Attempt): Promise<string> {
    try {
      await this.finish(attempt, {}, this.next());
      return 'DONE';
    } catch (error) {
      if (!(error instanceof MuonError)) throw error;
      return error.cause instanceof IncusError || error.code === 'BACKEND_FAILED' ? `${error.code} (${error.message})` : error.code;
    }
  }
}
