import { sleep } from '#core';
import { backendUnavailable, DONE, done, pending, type Outcome } from '#drivers';
import { IncusError, isConflict, isFinal, isNotFound, StatusCode, type Instance, type InstanceSettings, type Operation, type Tagged, type Volume } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import type { PooledVolume } from './disk.js';
import { Listing } from './listing.js';
import { listedInstance, machineIdOf } from './machine.js';
import { idsOf, instanceNameOf, nameOf } from './names.js';

export const BUSY_RETRY_MS = 200;
export const RUNNING_RETRY_MS = 500;
const CHANGE_ATTEMPTS = 6;
const FIND_ATTEMPTS = 3;
/** How Incus describes operations. */
const RENAME = 'Renaming instance';
const VOLUME_COPY = 'Copying storage volume';
/** Incus moves an instance's folder of logs last, and fails when its last words have made that anew; all the rest may be done. */
const LOGS_AGAIN = /^Failed renaming instance: rename \S+ \S+: file exists$/;

/** An instance as it was read; without an etag its member did not answer, for this reason, and it cannot be changed. */
export type Found = Tagged<Instance> & { reason?: string };

/** Finds machines and disks in the cluster, and changes instances as the ones that were read. */
export class Catalog {
  /** Names of instances by the ids of machines and root disks, as they last were; checked at each use. */
  private names = new Map<string, string>();
  private readonly allNames: Listing<ReadonlyMap<string, string>>;
  private readonly operations: Listing<Operation[]>;

  constructor(private readonly backend: IncusBackend) {
    const { instances, operations } = backend.client;
    this.allNames = new Listing(async (options) => {
      const names = namesById(await instances.names(options));
      this.names = new Map(names);
      return names;
    });
    this.operations = new Listing(async (options) => operations.list(options));
  }

  /** As its member tells it; as the list has it, where that does not answer. */
  async instance(name: string, budget: Budget): Promise<Found | undefined> {
    const { instances } = this.backend.client;
    try {
      return await instances.get(name, budget.look);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!isAway(error) || budget.signal.aborted) throw error;
      const listed = (await instances.list(budget.list)).find((each) => each.name === name);
      return listed === undefined ? undefined : { value: { ...listedInstance(listed), status_code: StatusCode.ERROR }, etag: '', reason: (error as Error).message };
    }
  }

  /** By the name that it had when it was last seen; undefined when it has another, or none that is known here. */
  async known(id: string, budget: Budget): Promise<Found | undefined> {
    const name = this.names.get(id);
    return name === undefined ? undefined : this.instance(name, budget);
  }

  /** An instance has this name from now on. */
  learn(instanceName: string): void {
    for (const [id, name] of namesById([instanceName])) this.names.set(id, name);
  }

  /** The instance that has this machine's or root disk's id in its name. */
  async named(id: string, budget: Budget): Promise<Found | undefined> {
    const found = await this.known(id, budget);
    if (found !== undefined) return found;
    for (let attempt = 0; attempt < FIND_ATTEMPTS; attempt += 1) {
      const name = (await this.allNames.ask(budget.list)).get(id);
      if (name === undefined) return undefined;
      const listed = await this.instance(name, budget);
      if (listed !== undefined) return listed;
      // It got another name between the two looks, or went.
    }
    throw backendUnavailable(this.backend.backendId, `Somebody else is at work on "${id}".`);
  }

  async machine(machineId: string, budget: Budget): Promise<Found | undefined> {
    const found = await this.named(machineId, budget);
    return found !== undefined && machineIdOf(found.value) === machineId ? found : undefined;
  }

  /** @throws NOT_FOUND; UNAVAILABLE where its host is away */
  async reachableMachine(machineId: string, budget: Budget): Promise<Found> {
    const found = await this.machine(machineId, budget);
    if (found === undefined) throw this.backend.missing('machine', machineId);
    this.requireReachable(found, machineId);
    return found;
  }

  requireReachable({ value, etag, reason }: Found, id: string): void {
    if (etag === '' || value.status_code === StatusCode.ERROR) throw this.backend.away(id, reason);
  }

  /** All instances, as the list has them. */
  async list(budget: Budget): Promise<Instance[]> {
    const all = await this.backend.client.instances.list(budget.listOfMembers);
    this.names = namesById(all.map(({ name }) => name));
    return all.map(listedInstance);
  }

  /**
   * Gives an instance its name as a machine or, without one, as a disk. Of all that Incus does to instances this alone
   * knows no lock: a start or a snapshot that is under way would go on under the old name, and leave what nobody can
   * remove.
   * @returns its name, or PENDING when somebody else is at it
   */
  async rename(found: Found, diskId: string, machineId: string | undefined, budget: Budget): Promise<Outcome<string>> {
    const { name } = found.value;
    const wanted = instanceNameOf(diskId, machineId);
    if (name === wanted) return done(wanted);
    const renamed = await this.give(found, wanted, budget).finally(() => {
      for (const id of [diskId, machineId, idsOf(name)?.machineId]) if (id !== undefined) this.names.delete(id);
    });
    if (renamed.state === 'DONE') this.learn(wanted);
    return renamed;
  }

  private async give(found: Found, wanted: string, budget: Budget): Promise<Outcome<string>> {
    const { name } = found.value;
    // Many who rename it at once do not wait for one another, or none would begin.
    if ((await this.underWay(name, budget)).some(({ description }) => description !== RENAME)) return pending(BUSY_RETRY_MS);
    try {
      const running = await this.backend.client.instances.move(name, { name: wanted }, budget.request);
      return (await this.backend.settled(running, budget)) ? done(wanted) : pending(RUNNING_RETRY_MS);
    } catch (error) {
      if (isBusy(error)) return pending(BUSY_RETRY_MS);
      // Of many who do it at once one succeeds; the others find it done, or half done.
      if ((isNotFound(error) || isConflict(error)) && (await this.isTaken(found, budget))) return pending(BUSY_RETRY_MS);
      if (error instanceof IncusError && !error.outcomeUnknown && (LOGS_AGAIN.test(error.message) || (await this.runs(name, budget)))) return pending(BUSY_RETRY_MS);
      throw error;
    }
  }

  /** By somebody else. Incus renames the volume before the instance, so who is at it is asked before what has become of it. */
  private async isTaken({ value: { name }, etag }: Found, budget: Budget): Promise<boolean> {
    return (await this.underWay(name, budget)).length > 0 || (await this.instance(name, budget))?.etag !== etag;
  }

  /** Started by a request that came late: whoever repeats what needs it stopped stops it first. */
  private async runs(name: string, budget: Budget): Promise<boolean> {
    return (await this.instance(name, budget))?.value.status_code === StatusCode.RUNNING;
  }

  /** A disk beside root disks. Its pool is found by asking each. */
  async volume(diskId: string, budget: Budget): Promise<(PooledVolume & { etag: string }) | undefined> {
    const { storagePools } = this.backend.client;
    const pools = await storagePools.list(budget.list);
    const found = await Promise.all(
      pools.map(async ({ name: pool }) => {
        const volume = await this.pooledVolume(pool, nameOf(diskId), budget);
        return volume === undefined ? [] : [{ pool, volume: volume.value, etag: volume.etag }];
      }),
    );
    return found.flat()[0];
  }

  /** As its member tells it; from the list, without an etag, where that does not answer. */
  private async pooledVolume(pool: string, name: string, budget: Budget): Promise<Tagged<Volume> | undefined> {
    const { storagePools } = this.backend.client;
    try {
      return await storagePools.volume(pool, name, budget.look);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!isAway(error) || budget.signal.aborted) throw error;
      const listed = (await storagePools.volumes(pool, budget.list)).find((each) => each.name === name);
      return listed === undefined ? undefined : { value: listed, etag: '' };
    }
  }

  /** Of all pools and members. */
  async volumes(budget: Budget): Promise<PooledVolume[]> {
    const { storagePools } = this.backend.client;
    const pools = await storagePools.list(budget.list);
    const found = await Promise.all(
      pools.map(async ({ name: pool }) => (await storagePools.volumes(pool, budget.list)).map((volume) => ({ pool, volume }))),
    );
    return found.flat();
  }

  /**
   * Reads, edits and writes until the instance is so that the edit leaves it alone: whoever else changes it meanwhile is
   * neither overwritten nor believed. A failure is believed where the instance is as it was before.
   * @param edit the new settings, or undefined when there is nothing (more) to change
   */
  async change(name: string, id: string, budget: Budget, edit: (instance: Instance) => InstanceSettings | undefined): Promise<Outcome<Found>> {
    const { instances } = this.backend.client;
    let failure: { error: IncusError; etag: string } | undefined;
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt += 1) {
      const found = await this.instance(name, budget);
      if (found === undefined) throw this.backend.missing('instance', name);
      this.requireReachable(found, id);
      const settings = edit(found.value);
      if (settings === undefined) return done(found);
      if (failure?.etag === found.etag && !isUnsettled(failure.error)) throw failure.error;
      try {
        const running = await instances.replace(name, { ...settingsOf(found.value), ...settings }, { ...budget.request, etag: found.etag });
        if (!(await this.backend.settled(running, budget))) return pending(RUNNING_RETRY_MS);
      } catch (error) {
        if (isBusy(error)) return pending(BUSY_RETRY_MS);
        if (isOutdated(error)) continue;
        if (!(error instanceof IncusError) || error.outcomeUnknown || error.retryable) throw error;
        failure = { error, etag: found.etag };
        if (isUnsettled(error)) await sleep(BUSY_RETRY_MS, budget.signal);
      }
    }
    if (failure !== undefined) throw failure.error;
    return pending(BUSY_RETRY_MS);
  }

  /** Operations of that object that have not ended. */
  async underWay(name: string, budget: Budget): Promise<Operation[]> {
    return (await this.operations.ask(budget.list)).filter((operation) => isAbout(operation, name));
  }

  /** By more than a command in its guest. */
  async isWorkedOn(name: string, budget: Budget): Promise<boolean> {
    return (await this.underWay(name, budget)).some((operation) => operation.class === 'task');
  }

  /** @param isCopy of copies of volumes Incus does not tell which they are: while any is made, each one counts as being made */
  async isBeingMade(name: string, isCopy: boolean, budget: Budget): Promise<boolean> {
    const all = await this.operations.ask(budget.list);
    return all.some((operation) => isAbout(operation, name) || (isCopy && !isFinal(operation.status_code) && operation.description === VOLUME_COPY));
  }

  /** Cancels what could still bring it (back). @returns DONE when nothing is under way */
  async quiet(name: string, budget: Budget): Promise<Outcome<void>> {
    const operations = await this.underWay(name, budget);
    if (operations.length === 0) return DONE;
    for (const { id, may_cancel: mayCancel } of operations) {
      // It may end before we come to it.
      if (mayCancel) await this.backend.client.operations.cancel(id, budget.request).catch(() => undefined);
    }
    return pending(BUSY_RETRY_MS);
  }
}

/** By the ids of machines and root disks. */
const namesById = (names: string[]): Map<string, string> =>
  new Map(names.flatMap((name) => Object.values(idsOf(name) ?? {}).map((id): [string, string] => [id, name])));

/** It has not ended. */
const isAbout = ({ status_code: code, resources }: Operation, name: string): boolean =>
  !isFinal(code) && Object.values(resources ?? {}).some((paths) => paths.some((path) => path.split(/[/?]/).includes(name)));

export const isBusy = (error: unknown): boolean => error instanceof IncusError && error.kind === 'BUSY';

/**
 * While a snapshot is taken or deleted, Incus has one record of it and lacks the other, and may take away the folder that
 * another one is just put into.
 */
export const isUnsettled = (error: unknown): boolean =>
  error instanceof IncusError && /snapshot record (count|missing)|no such file or directory/i.test(error.message);

/** Somebody else changed it since it was read. */
export const isOutdated = (error: unknown): boolean => error instanceof IncusError && error.kind === 'PRECONDITION_FAILED';

const isAway = (error: unknown): boolean => error instanceof IncusError && (error.retryable || error.kind === 'FAILED');

export function ifNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}

const settingsOf = ({ architecture, config, devices, ephemeral, profiles, description, stateful }: Instance): InstanceSettings => ({
  architecture,
  config,
  devices,
  ephemeral,
  profiles,
  description,
  stateful,
});
