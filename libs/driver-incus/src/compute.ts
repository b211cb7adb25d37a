import { MuonError } from '#core';
import {
  backendRefused,
  backendUnavailable,
  DONE,
  done,
  hashOf,
  pending,
  PowerState,
  type Capabilities,
  type ComputeDriver,
  type DriverCall,
  type GuestRun,
  type GuestRunResult,
  type MachineSpecification,
  type ObservedMachine,
  type Outcome,
} from '#drivers';
import { IncusError, isNotFound, type Devices, type Instance } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { ifNotFound, isBusy, BUSY_RETRY_MS, RUNNING_RETRY_MS, type Catalog, type Found } from './catalog.js';
import { isShared, usersOf } from './disk.js';
import { DiskLimits } from './disk-limits.js';
import { limitOfKey, withLimit } from './iops-limit.js';
import { runInGuest } from './guest-run.js';
import { dataDiskNames, diskDevice, diskSettings, machineIdOf, machineSettings, observedMachine, powerOf, sizeConfig } from './machine.js';
import { idsOf, Key, nameOf } from './names.js';
import { Pages } from './pages.js';
import { MachinePower } from './power.js';
import { mibOf } from './sizes.js';

const CONSOLE_CHARACTERS = 64 * 1024;
const GUEST_ENDS = /^Instance is (not running|frozen)$|^Failed to retrieve PID/;

interface Deletion {
  machineId: string;
  /** Another for each. */
  mark: string;
}

/** Machines as instances of Incus; what a root disk is, `machine.ts` tells. */
export class IncusCompute implements ComputeDriver {
  private readonly power: MachinePower;
  private readonly limits: DiskLimits;
  private readonly pages = new Pages<ObservedMachine>(({ machineId }) => machineId);

  constructor(
    private readonly backend: IncusBackend,
    private readonly catalog: Catalog,
  ) {
    this.power = new MachinePower(backend, catalog);
    this.limits = new DiskLimits(backend, catalog);
  }

  async createMachine(call: DriverCall, specification: MachineSpecification): Promise<Outcome<ObservedMachine>> {
    return this.backend.ask(call, 'createMachine', ['compute'], async (budget) => this.create(specification, budget));
  }

  async startMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'startMachine', machineId, [], async (found, budget) => this.power.start(found, budget));
  }

  async stopMachine(call: DriverCall, machineId: string, force: boolean): Promise<Outcome<void>> {
    return this.onMachine(call, 'stopMachine', machineId, [], async (found, budget) => this.power.stop(found, force, budget));
  }

  async suspendMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'suspendMachine', machineId, ['suspend'], async (found, budget) => this.power.suspend(found, budget));
  }

  async resumeMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'resumeMachine', machineId, ['suspend'], async (found, budget) => this.power.resume(found, budget));
  }

  async restartMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'restartMachine', machineId, [], async (found, budget) => this.power.restart(found, call.idempotencyKey, budget));
  }

  async resizeMachine(call: DriverCall, machineId: string, size: { cpu: number; memoryMib: number }): Promise<Outcome<void>> {
    return this.onMachine(call, 'resizeMachine', machineId, ['resize'], async ({ value: { name } }, budget) => {
      const changed = await this.catalog.change(name, machineId, budget, (instance) => {
        const { config } = instance;
        if (config[Key.CPU] === String(size.cpu) && mibOf(config[Key.MEMORY]) === size.memoryMib) return undefined;
        this.requireStopped(instance, 'is resized');
        return { config: { ...config, ...sizeConfig(size) } };
      });
      return changed.state === 'DONE' ? DONE : changed;
    });
  }

  async moveMachine(call: DriverCall, machineId: string, hostName: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'moveMachine', machineId, ['moveStopped'], async (found, budget) => this.move(found.value, hostName, budget));
  }

  async deleteMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, 'deleteMachine', ['compute'], async (budget) => {
      // Also one that was begun and has no more than the name.
      const found = await this.catalog.named(machineId, budget);
      if (found === undefined) return DONE;
      this.catalog.requireReachable(found, machineId);
      const deletion = { machineId, mark: call.idempotencyKey };
      const cleared = await this.clear(found, deletion, budget).catch(async (error: unknown) => this.ifRenamed(error, found, machineId, budget));
      if (cleared.state !== 'DONE') return cleared;
      const renamed = await this.catalog.rename(cleared.value, cleared.value.value.config[Key.DISK] ?? '', undefined, budget);
      return renamed.state === 'DONE' ? this.clearAgain(renamed.value, deletion, budget) : renamed;
    });
  }

  async attachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'attachDisk', machineId, [], async ({ value }, budget) => {
      if (value.config[Key.DISK] === diskId) return DONE;
      const devices = await this.dataDisk(value, diskId, budget);
      const changed = await this.catalog
        .change(value.name, machineId, budget, (instance) => (nameOf(diskId) in instance.devices ? undefined : { devices: { ...instance.devices, ...devices } }))
        .catch(async (error: unknown) => {
          // Its volume was deleted since it was found.
          if (isNotFound(error) && (await this.catalog.volume(diskId, budget)) === undefined) throw this.backend.missing('disk', diskId);
          throw error;
        });
      return changed.state === 'DONE' ? this.limit([diskId], budget) : changed;
    });
  }

  async detachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>> {
    return this.onMachine(call, 'detachDisk', machineId, [], async ({ value }, budget) => {
      if (value.config[Key.DISK] === diskId) throw this.backend.invalidState('The root disk of a machine cannot be detached.');
      const changed = await this.catalog.change(value.name, machineId, budget, (instance) => {
        const { [nameOf(diskId)]: detached, ...devices } = instance.devices;
        return detached === undefined ? undefined : { devices };
      });
      return changed.state === 'DONE' ? DONE : changed;
    });
  }

  async runInGuest(call: DriverCall, run: GuestRun): Promise<Outcome<GuestRunResult>> {
    return this.onMachine(call, 'runInGuest', run.machineId, ['guestRun'], async ({ value }, budget) => {
      this.requireRunning(value, run.machineId);
      return runInGuest(this.backend, value.name, run, budget).catch(async (error: unknown) => this.failedRun(error, value.name, run.machineId, budget));
    });
  }

  async readConsole(call: DriverCall, machineId: string): Promise<string> {
    return this.onMachine(call, 'readConsole', machineId, [], async ({ value }, budget) => {
      const log = await this.backend.client.instances.consoleLog(value.name, budget.request).catch(ifNotFound);
      return (log ?? '').slice(-CONSOLE_CHARACTERS);
    });
  }

  async getMachine(call: DriverCall, machineId: string): Promise<ObservedMachine | undefined> {
    return this.backend.ask(call, 'getMachine', ['compute'], async (budget) => {
      const found = await this.catalog.machine(machineId, budget);
      return found === undefined ? undefined : this.observe(found.value, budget);
    });
  }

  /** Without addresses: Incus would ask each guest for them. */
  async listMachines(call: DriverCall, after: string | null, limit: number): Promise<ObservedMachine[]> {
    return this.backend.ask(call, 'listMachines', ['compute'], async (budget) =>
      this.pages.page(after, limit, async () => (await this.catalog.list(budget)).flatMap((instance) => observedMachine(instance) ?? [])),
    );
  }

  private async onMachine<Value>(
    call: DriverCall,
    method: string,
    machineId: string,
    needs: readonly (keyof Capabilities)[],
    work: (found: Found, budget: Budget) => Promise<Value>,
  ): Promise<Value> {
    return this.backend.ask(call, method, ['compute', ...needs], async (budget) => work(await this.catalog.reachableMachine(machineId, budget), budget));
  }

  /** What is left is its root disk. One that is that already may run: a start came late, by the name that it still had. */
  private async clear(found: Found, { machineId, mark }: Deletion, budget: Budget): Promise<Outcome<Found>> {
    const stopped = await this.power.stop(found, true, budget);
    if (stopped.state !== 'DONE') return stopped;
    const before = found.value.config[Key.CALLED_OFF];
    return this.catalog.change(found.value.name, machineId, budget, (instance) => {
      const present = machineIdOf(instance);
      if (present === machineId) {
        const { config, devices } = diskSettings(instance, this.backend.settings.instanceConfig);
        return { config: { ...config, [Key.CALLED_OFF]: mark }, devices };
      }
      // One that was begun and has no more than the name; of many deletions at once one marks it.
      const marked = instance.config[Key.CALLED_OFF];
      if (present !== undefined || marked === mark || marked !== before) return undefined;
      return { config: { ...instance.config, [Key.CALLED_OFF]: mark } };
    });
  }

  /** Whether an instance is as a change was meant for, Incus looks before it begins: a creation's may come out after all. */
  private async clearAgain(diskName: string, deletion: Deletion, budget: Budget): Promise<Outcome<void>> {
    const disk = await this.catalog.instance(diskName, budget);
    if (disk === undefined || machineIdOf(disk.value) !== deletion.machineId) return DONE;
    const cleared = await this.clear(disk, deletion, budget);
    return cleared.state === 'DONE' ? DONE : cleared;
  }

  /** By an earlier call of the same deletion, whose end came after its caller had given up. */
  private async ifRenamed(error: unknown, { value: { name } }: Found, machineId: string, budget: Budget): Promise<Outcome<never>> {
    const isMissing = isNotFound(error) || (error instanceof MuonError && error.code === 'NOT_FOUND');
    if (!isMissing || (await this.catalog.named(machineId, budget))?.value.name === name) throw error;
    return pending(BUSY_RETRY_MS);
  }

  private async observe(instance: Instance, budget: Budget): Promise<ObservedMachine | undefined> {
    const runs = powerOf(instance) === PowerState.RUNNING;
    // The address is a courtesy: a machine that stops meanwhile is still told.
    const state = runs ? await this.backend.client.instances.state(instance.name, budget.look).catch(() => undefined) : undefined;
    return observedMachine(instance, state);
  }

  private async create(specification: MachineSpecification, budget: Budget): Promise<Outcome<ObservedMachine>> {
    const { machineId, hostName, diskIds } = specification;
    const [rootId, ...dataDiskIds] = diskIds;
    const hash = hashOf(specification);
    const existing = await this.catalog.machine(machineId, budget);
    if (existing !== undefined && (existing.value.config[Key.DISK] !== rootId || existing.value.config[Key.MACHINE_SPECIFICATION] !== hash)) {
      this.catalog.requireReachable(existing, machineId);
      throw this.backend.conflict('machine', machineId);
    }
    if (rootId === undefined) throw this.backend.invalidState('A machine here needs a root disk that was made of an image.');
    const root = existing ?? (await this.catalog.named(rootId, budget));
    if (root === undefined) throw this.backend.missing('root disk', rootId);
    this.catalog.requireReachable(root, rootId);
    if (root.value.location !== hostName) throw this.backend.invalidState(`The root disk "${rootId}" is on ${root.value.location}, and not on ${hostName}.`);
    if ((machineIdOf(root.value) ?? machineId) !== machineId) throw this.backend.invalidState(`The disk "${rootId}" is attached to another machine.`);
    const dataDisks: Devices = {};
    if (existing === undefined) {
      for (const diskId of dataDiskIds) Object.assign(dataDisks, await this.dataDisk(root.value, diskId, budget));
    }
    if (machineIdOf(root.value) === undefined) {
      // Where it runs all the same, a start of the machine that was on it before came late.
      const stopped = await this.power.stop(root, true, budget);
      if (stopped.state !== 'DONE') return stopped;
    }
    const { bridge, instanceConfig } = this.backend.settings;
    const renamed = await this.catalog.rename(root, rootId, machineId, budget);
    if (renamed.state !== 'DONE') return renamed;
    const changed = await this.catalog.change(renamed.value, rootId, budget, (instance) => {
      const present = machineIdOf(instance);
      if (present === undefined && instance.config[Key.CALLED_OFF] !== root.value.config[Key.CALLED_OFF]) {
        throw backendUnavailable(this.backend.backendId, `The machine "${machineId}" was deleted while it was made.`);
      }
      if (present === undefined) return machineSettings(instance, specification, { bridge, instanceConfig, dataDisks });
      if (present !== machineId) throw this.backend.invalidState(`The disk "${rootId}" is attached to another machine.`);
      if (instance.config[Key.MACHINE_SPECIFICATION] !== hash) throw this.backend.conflict('machine', machineId);
      return undefined;
    });
    if (changed.state !== 'DONE') return changed;
    const limited = await this.limit(dataDiskIds, budget);
    if (limited.state !== 'DONE') return limited;
    const observed = await this.observe(changed.value.value, budget);
    if (observed === undefined) throw this.backend.missing('machine', machineId);
    return done(observed);
  }

  /** The disk as a device of this machine, once it is sure that nobody else has it. */
  private async dataDisk(instance: Instance, diskId: string, budget: Budget): Promise<Devices> {
    const found = await this.catalog.volume(diskId, budget);
    if (found === undefined) {
      const root = await this.catalog.named(diskId, budget);
      if (root === undefined) throw this.backend.missing('disk', diskId);
      throw this.backend.invalidState(`The disk "${diskId}" was made of an image: it can only be the root disk of a machine.`);
    }
    const { pool, volume } = found;
    if (usersOf(volume).some((user) => user !== instance.name)) throw this.backend.invalidState(`The disk "${diskId}" is attached to another machine.`);
    if (volume.location !== '' && volume.location !== 'none' && volume.location !== instance.location) {
      throw this.backend.invalidState(`The disk "${diskId}" is on ${volume.location}, and the machine on ${instance.location}.`);
    }
    return { [volume.name]: withLimit(diskDevice(volume.name, pool, instance.type), limitOfKey(volume.config[Key.IOPS_LIMIT])) };
  }

  /** A limit that was set while the disk was attached may not have met the machine. */
  private async limit(diskIds: readonly string[], budget: Budget): Promise<Outcome<void>> {
    for (const diskId of this.backend.capabilities.iopsLimit ? diskIds : []) {
      const limited = await this.limits.follow(diskId, budget);
      if (limited.state !== 'DONE') return limited;
    }
    return DONE;
  }

  private async move(instance: Instance, hostName: string, budget: Budget): Promise<Outcome<void>> {
    const { client } = this.backend;
    if (instance.location === hostName) return DONE;
    this.requireStopped(instance, 'moves');
    const members = await client.cluster.list(budget.list);
    if (!members.some((member) => member.server_name === hostName)) throw this.backend.missing('host', hostName);
    const pools = await client.storagePools.list(budget.list);
    const local = dataDiskNames(instance).find((name) => pools.some((pool) => pool.name === instance.devices[name]?.['pool'] && !isShared(pool)));
    if (local !== undefined) throw this.backend.invalidState(`The disk "${idsOf(local)?.diskId ?? local}" is local to ${instance.location}: detach it first.`);
    if ((await this.catalog.underWay(instance.name, budget)).length > 0) return pending(BUSY_RETRY_MS);
    try {
      const running = await client.instances.move(instance.name, {}, { ...budget.request, target: hostName });
      if (!(await this.backend.settled(running, budget))) return pending(RUNNING_RETRY_MS);
    } catch (error) {
      if (isBusy(error)) return pending(BUSY_RETRY_MS);
      if (!(error instanceof IncusError) || error.outcomeUnknown) throw error;
      const now = await this.catalog.instance(instance.name, budget);
      if (now?.value.location === hostName) return DONE;
      // By another call of the same move, or by somebody who has started it meanwhile: the repeat finds which.
      if (now === undefined || powerOf(now.value) !== powerOf(instance) || (await this.catalog.underWay(instance.name, budget)).length > 0) return pending(BUSY_RETRY_MS);
      throw error;
    }
    const moved = await this.catalog.instance(instance.name, budget);
    if (moved?.value.location === hostName) return DONE;
    throw backendRefused(this.backend.backendId, `Incus says that it has moved the machine to ${hostName}, and has it on ${moved?.value.location ?? 'none'}.`);
  }

  /** A guest that ends or is suspended meanwhile makes Incus fail in many ways: what it is then counts. */
  private async failedRun(error: unknown, name: string, machineId: string, budget: Budget): Promise<never> {
    const isFinal = error instanceof IncusError ? !error.retryable && !error.outcomeUnknown : error instanceof MuonError && error.code === 'BACKEND_FAILED';
    if (!isFinal || budget.signal.aborted) throw error;
    // While Incus stops a guest, nothing can be forked in it.
    if (await this.catalog.isWorkedOn(name, budget)) throw this.onTheWay(machineId);
    this.requireRunning((await this.catalog.reachableMachine(machineId, budget)).value, machineId);
    // It ends, or runs again already.
    if (error instanceof IncusError && GUEST_ENDS.test(error.message)) throw backendUnavailable(this.backend.backendId, `Incus: ${error.message}`, error);
    throw error;
  }

  private requireRunning(instance: Instance, machineId: string): void {
    const power = powerOf(instance);
    if (power === PowerState.UNKNOWN) throw this.onTheWay(machineId);
    if (power !== PowerState.RUNNING) throw this.backend.invalidState(`The machine "${machineId}" is ${power}: nothing can be run in it.`);
  }

  private onTheWay(machineId: string): MuonError {
    return backendUnavailable(this.backend.backendId, `The machine "${machineId}" is just being started or stopped.`);
  }

  private requireStopped(instance: Instance, what: string): void {
    const power = powerOf(instance);
    if (power === PowerState.UNKNOWN) throw this.onTheWay(machineIdOf(instance) ?? instance.name);
    if (power !== PowerState.STOPPED) throw this.backend.invalidState(`The machine is ${power}: it ${what} only while it is stopped.`);
  }
}
