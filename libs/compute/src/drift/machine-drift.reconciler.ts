import { MuonError, toMuonError } from '#core';
import { ChangeSet, type Database } from '#database';
import type { ComputeDriver, DriverCall, ObservedMachine } from '#drivers';
import { installationId, type DriverRegistry } from '#infrastructure';
import { defineReconciler, lockResources, operationId, OPERATIONS, type NewOperation, type Reconciler, type ReconcilerContext } from '#operations';
import { flavorCharges } from '../flavor/flavor.service.js';
import { findFlavors } from '../flavor/flavor.sql.js';
import { MACHINE_DRIFT, markSilent } from '../host/machine-host-listener.js';
import { DriftCode, type MachineDrift } from '../virtual-machine/virtual-machine.js';
import {
  findBackendsOfMachines,
  machinesToObserve,
  machinesToPutRight,
  machinesToStart,
  recordObservations,
  type MachineToObserve,
  type MachineToPutRight,
  type MachineToStart,
  type Observation,
} from './machine-drift.sql.js';
import { differenceOfDisks, putDisksRight } from './attached-disks.js';
import { MachineListing } from './machine-listing.js';

export interface MachineDriftOptions {
  everyMs?: number;
  /**
   * Of what was written later a listing that tells something new is not believed, as it may lag behind: the machine itself
   * is asked for. And so long a machine that was started because it shall run is left alone, should it turn itself off again.
   */
  graceMs?: number;
  /** How long until a machine that could not be started is tried again. */
  startAgainAfterMs?: number;
  /** How long after a host's return the backend may know nothing of its machines yet: meanwhile they are looked at often. */
  returnMs?: number;
}

const DEFAULTS = { everyMs: 60_000, graceMs: 10_000, startAgainAfterMs: 600_000, returnMs: 120_000 };
/** Until the next look at machines whose host has returned; each one after it takes twice as long. */
const RETURNING_LOOK_MS = 3000;
const CALL_TIMEOUT_MS = 10_000;
/** A backend may wait for half a minute for a host that says nothing, before it lists the rest. */
const LIST_TIMEOUT_MS = 45_000;
/** There may be more than one such backend. */
const RUN_TIMEOUT_MS = 180_000;
const BATCH = 500;
const MAX_BATCHES = 2000;
const MAX_BACKENDS = 1000;
/** Machines that a listing lacks are asked for one by one, so many a run and backend; the rest waits for the next run. */
const MAX_CONFIRMED = 100;
const MAX_STARTED = 500;

/** One look at one backend. */
interface Look {
  context: ReconcilerContext;
  database: Database;
  backendId: string;
  compute: ComputeDriver;
  installation: string;
  graceMs: number;
  returnMs: number;
  confirmed: number;
  /** Whether nobody knows yet what machines of a host do that has returned. */
  isReturning: boolean;
}

/**
 * Looks what machines truly are, writes down what has changed, and starts those that shall run: after their host has
 * returned, or when the guest has turned itself off. Disks are attached and detached as they shall be, and stopped ones get
 * the size that they shall have. What is missing or in the wrong place is reported, never touched.
 */
export function machineDrift(database: Database, drivers: DriverRegistry, options: MachineDriftOptions = {}): Reconciler {
  const { everyMs, graceMs, startAgainAfterMs, returnMs } = { ...DEFAULTS, ...options };
  let returningLooks = 0;
  return defineReconciler({
    name: MACHINE_DRIFT,
    everyMs,
    timeoutMs: Math.max(everyMs, RUN_TIMEOUT_MS),
    async run(context) {
      await markSilent(database, null);
      let isReturning = false;
      for (const { backend_id: backendId } of await context.reader.rows(findBackendsOfMachines, MAX_BACKENDS)) {
        if (context.signal.aborted) return undefined;
        try {
          const { compute } = await drivers.driver(backendId);
          const installation = await installationId(context.reader);
          const look: Look = { context, database, backendId, compute, installation, graceMs, returnMs, confirmed: 0, isReturning: false };
          await lookAt(look);
          isReturning ||= look.isReturning;
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the machines of a backend could not be looked at');
        }
      }
      for (const machine of await context.reader.rows(machinesToStart, MAX_STARTED, startAgainAfterMs, graceMs)) {
        if (context.signal.aborted) return undefined;
        await start(context, machine);
      }
      await putDisksRight(context, MAX_STARTED, startAgainAfterMs);
      await putRight(context, await context.reader.rows(machinesToPutRight, MAX_STARTED, startAgainAfterMs));
      returningLooks = isReturning ? returningLooks + 1 : 0;
      return isReturning ? { afterMs: Math.min(everyMs, RETURNING_LOOK_MS * 2 ** (returningLooks - 1)) } : undefined;
    },
  });
}

async function lookAt(look: Look): Promise<void> {
  const { context, database, backendId, graceMs, returnMs } = look;
  const listing = new MachineListing(look.compute, (page) => callOf(look, `page/${page}`, LIST_TIMEOUT_MS));
  let after = '';
  for (let batch = 0; batch < MAX_BATCHES && !context.signal.aborted; batch += 1) {
    const rows = await context.reader.rows(machinesToObserve, backendId, after, BATCH, graceMs, returnMs);
    const last = rows.at(-1);
    if (last === undefined) return;
    const seen = await listing.upTo(last.instance_id);
    const observations: Observation[] = [];
    for (const row of rows) {
      const listed = seen.get(row.instance_id);
      look.isReturning ||= row.has_host_returned && listed?.power === 'UNKNOWN';
      const observation = await compare(look, row, listed);
      if (observation !== null) observations.push(observation);
    }
    if (observations.length > 0) {
      await database.transaction((transaction) => transaction.rows(recordObservations, JSON.stringify(observations)));
    }
    after = last.instance_id;
  }
}

/** What is to be written of a machine; null when nothing is new, or too many were asked for in this run already. */
async function compare(look: Look, row: MachineToObserve, listed: ObservedMachine | undefined): Promise<Observation | null> {
  let found = differenceOf(look, row, listed);
  if (found === null) return null;
  const isNewDifference = found.drift?.code === DriftCode.DISKS_DIFFER && row.drift?.code !== found.drift.code;
  // A listing may lag behind what was made, changed, attached or detached meanwhile.
  if (listed === undefined || row.has_just_changed || isNewDifference) {
    if (look.confirmed >= MAX_CONFIRMED) return null;
    look.confirmed += 1;
    found = differenceOf(look, row, await look.compute.getMachine(callOf(look, row.instance_id), row.instance_id));
  }
  const drift = found?.drift ?? null;
  if (drift !== null && row.drift?.code !== drift.code) {
    look.context.log.warn({ machineId: row.id, backendId: look.backendId, code: drift.code, hostName: drift.hostName }, 'a machine is not as it was placed');
  }
  return found;
}

/** How what was seen differs from what is known; null when it does not. */
function differenceOf(look: Look, row: MachineToObserve, seen: ObservedMachine | undefined): Observation | null {
  const isOurs = seen !== undefined && (seen.installationId === look.installation || isHidden(seen));
  const power = isOurs ? seen.power : 'UNKNOWN';
  const reason = isOurs && power === 'UNKNOWN' ? 'Its host does not answer.' : null;
  const drift = driftOf(row, isOurs ? seen : undefined);
  if (row.observed_power === power && row.observed_reason === reason && isSame(row.drift, drift)) return null;
  return { id: row.id, revision: row.revision, power, reason, drift };
}

/** Of a machine whose host is away the backend may tell no more than that it has it. */
function isHidden({ power, installationId: installation }: ObservedMachine): boolean {
  return power === 'UNKNOWN' && installation === '';
}

function isSame(one: MachineDrift | null, other: MachineDrift | null): boolean {
  const disksOf = (drift: MachineDrift | null): string => [drift?.missingDiskIds ?? [], drift?.surplusDiskIds ?? []].join('/');
  return one?.code === other?.code && one?.hostName === other?.hostName && disksOf(one) === disksOf(other);
}

function driftOf(row: MachineToObserve, seen: ObservedMachine | undefined): MachineDrift | null {
  const since = (code: DriftCode): string => (row.drift?.code === code ? row.drift.since : new Date().toISOString());
  if (seen === undefined) return { code: DriftCode.MACHINE_MISSING, since: since(DriftCode.MACHINE_MISSING) };
  if (seen.hostName !== row.host_name) {
    return { code: DriftCode.ON_ANOTHER_HOST, since: since(DriftCode.ON_ANOTHER_HOST), hostName: seen.hostName };
  }
  if (isHidden(seen)) return null;
  const disks = differenceOfDisks(row, seen);
  if (disks !== null) return { code: DriftCode.DISKS_DIFFER, since: since(DriftCode.DISKS_DIFFER), ...disks };
  if (seen.cpu === row.cpu && seen.memoryMib === row.memory_mib) return null;
  return { code: DriftCode.SIZE_DIFFERS, since: since(DriftCode.SIZE_DIFFERS) };
}

function callOf({ context, backendId }: Look, what: string, timeoutMs = CALL_TIMEOUT_MS): DriverCall {
  return { idempotencyKey: `machine-drift/${backendId}/${what}`, timeoutMs, signal: context.signal };
}

async function start(context: ReconcilerContext, machine: MachineToStart): Promise<void> {
  // Should it fail, the machine is off again, and shall run all the same.
  const input = { machineId: machine.id, action: 'START', force: false, before: 'STOPPED' };
  const id = await submit(context, machine, 'compute.virtual_machine.power', input);
  if (id !== null) context.log.info({ machineId: machine.id, operationId: id }, 'starting a machine that shall run');
}

async function putRight(context: ReconcilerContext, machines: readonly MachineToPutRight[]): Promise<void> {
  if (machines.length === 0) return;
  const flavors = new Map((await context.reader.rows(findFlavors, [...new Set(machines.map((machine) => machine.flavor_id))])).map((row) => [row.id, row]));
  for (const machine of machines) {
    const flavor = flavors.get(machine.flavor_id);
    if (flavor === undefined || context.signal.aborted) continue;
    const size = { flavorId: flavor.id, cpu: machine.cpu, memoryMib: machine.memory_mib, charges: flavorCharges(flavor) };
    const id = await submit(context, machine, 'compute.virtual_machine.resize', { machineId: machine.id, from: size, to: size, disk: null });
    if (id !== null) context.log.warn({ machineId: machine.id, operationId: id }, 'giving a machine the size that it shall have');
  }
}

/** @returns null when somebody is changing the machine: the next run sees what is left */
async function submit(context: ReconcilerContext, machine: MachineToStart, kind: string, input: NewOperation['input']): Promise<string | null> {
  const { id: machineId, tenant_id: tenantId, project_id: projectId, backend_id: backendId } = machine;
  const id = operationId.create();
  const changes = new ChangeSet();
  lockResources(changes, id, [machineId]);
  changes.add(OPERATIONS, { id, kind, resourceKind: 'virtual_machine', resourceId: machineId, tenantId, projectId, input, backendId });
  changes.result = { id: machineId, operationId: id };
  try {
    await context.submit(changes);
    return id;
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'RESOURCE_BUSY') throw error;
    return null;
  }
}
