import { MuonError, notFound } from '#core';
import type { Reader } from '#database';
import { DONE, type ComputeDriver, type MachineSpecification, type ObservedMachine, type Outcome } from '#drivers';
import { findHosts, HostState, hostState, installationId, type DriverRegistry } from '#infrastructure';
import { findPortsOfOwners } from '#network';
import { done, fromOutcome, wait, type StepContext, type StepDone, type StepWait } from '#operations';
import type { SecretService } from '#secrets';
import { findDisksOfOwners } from '#storage';
import { openUserData } from '../virtual-machine/user-data.js';
import type { Power } from '../virtual-machine/virtual-machine.js';
import { findMachineToRealise, type MachineToRealise } from '../virtual-machine/virtual-machine.sql.js';

export interface MachineRealiserOptions {
  /** How long an undo lets a late effect of a lost call show itself before it looks again. */
  settleMs?: number;
}

/** Where a machine is made anew, beside the one that its row speaks of. */
export interface InstancePlace {
  /** What the backend calls it there. */
  instanceId: string;
  hostId: string;
  /** Its only disk. */
  diskId: string;
}

type Context = StepContext<unknown>;
type Answer = StepDone | StepWait;

const DEFAULT_SETTLE_MS = 500;
const CONFIRM_RETRY_MS = 300;

/** Makes backends equal to the machines' rows, for the steps of operations. Everything here may be repeated. */
export class MachineRealiser {
  private readonly settleMs: number;

  constructor(
    private readonly drivers: DriverRegistry,
    private readonly secrets: SecretService,
    options: MachineRealiserOptions = {},
  ) {
    this.settleMs = options.settleMs ?? DEFAULT_SETTLE_MS;
  }

  /** Makes the machine, stopped, on the host that its row names or at another place. */
  async ensureMachine(context: Context, machineId: string, place?: InstancePlace): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId, place);
    const specification = await machineSpecification(context.reader, this.secrets, machine, place);
    const compute = await this.compute(machine.backend_id);
    return fromOutcome(await compute.createMachine(context.call(machineId), specification), 'The backend is making the machine.');
  }

  /**
   * Ensures that the machine is on no backend. On a host that is proven to be off it is left to the sweep, which finds
   * its tombstone when the host returns.
   * @param settle for undos, whose create may still be on its way: look again after the settling time
   */
  async removeMachine(context: Context, machineId: string, settle = false, place?: InstancePlace): Promise<Answer> {
    return this.unlessHostIsOff(context, machineId, () => this.deleteMachine(context, machineId, settle, place), place);
  }

  /** Runs what may find the machine's host away: that is no reason to wait when the host is proven to be off. */
  async unlessHostIsOff(context: Context, machineId: string, work: () => Promise<Answer>, place?: InstancePlace): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error) || !(await isHostOff(context.reader, machineId, place))) throw error;
      context.log.info({ machineId, reason: error.message }, 'left on a host that is proven to be off, until it returns');
      return done({ notRestored: [{ resourceId: machineId, message: 'Its host is proven to be off; what is left there of the machine is deleted when it returns.' }] });
    }
  }

  /**
   * Runs what brings a machine forward: neither an error nor waiting helps while its host is proven to be off, so it is not made to
   * last until the operation's deadline, while nobody else may make the machine anew.
   * @param otherHostId another host that it needs
   * @throws INVALID_STATE
   */
  async refuseOnceHostIsOff(context: Context, machineId: string, work: () => Promise<Answer>, otherHostId?: string): Promise<Answer> {
    let failure: unknown;
    const answer = await work().catch((error: unknown) => void (failure = error));
    if (answer?.type === 'DONE') return answer;
    const isFinal = failure !== undefined && !isAway(failure);
    if (!isFinal && ((await this.isOnHostThatIsOff(context, machineId)) || (otherHostId !== undefined && (await isOff(context.reader, otherHostId))))) {
      throw new MuonError('INVALID_STATE', 'A host that the machine needs is proven to be off.', { data: { machineId }, fault: 'OPERATOR' });
    }
    if (answer === undefined) throw failure;
    return answer;
  }

  /** Whether its row names a host that is proven to be off. */
  async isOnHostThatIsOff(context: Context, machineId: string): Promise<boolean> {
    return isHostOff(context.reader, machineId);
  }

  /** Whether the backend still has the machine, on a host that is proven to be off. */
  async isLeftBehind(context: Context, machineId: string, place?: InstancePlace): Promise<boolean> {
    if (!(await isHostOff(context.reader, machineId, place))) return false;
    const machine = await readMachine(context.reader, machineId, place);
    const compute = await this.compute(machine.backend_id);
    return (await compute.getMachine(context.call(machineId), machine.instance_id)) !== undefined;
  }

  private async deleteMachine(context: Context, machineId: string, settle: boolean, place?: InstancePlace): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId, place);
    const looksAgain = settle && context.step.memo === 'settled';
    const memo = looksAgain ? { memo: 'settled' } : {};
    const compute = await this.compute(machine.backend_id);
    const outcome = await compute.deleteMachine(context.call(looksAgain ? `${machineId}/again` : machineId), machine.instance_id);
    if (outcome.state === 'PENDING') return wait({ afterMs: outcome.retryAfterMs, blocker: 'The backend is deleting the machine.', ...memo });
    if (!settle || looksAgain) return done();
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has brought it back.', memo: 'settled' });
  }

  /** Brings the machine into this power state by the one call that leads there. */
  async ensurePower(context: Context, machineId: string, power: Power, from: ObservedMachine['power'], force = false): Promise<Answer> {
    if (from === power) return done();
    const machine = await readMachine(context.reader, machineId);
    const compute = await this.compute(machine.backend_id);
    const call = context.call(`${machineId}/${power}`);
    const outcome = await changePower(compute, call, { instanceId: machine.instance_id, power, from, force });
    return fromOutcome(outcome, `The backend is bringing the machine to ${power.toLowerCase()}.`);
  }

  async restart(context: Context, machineId: string): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId);
    const compute = await this.compute(machine.backend_id);
    return fromOutcome(await compute.restartMachine(context.call(machineId), machine.instance_id), 'The backend is restarting the machine.');
  }

  async resize(context: Context, machineId: string, size: { cpu: number; memoryMib: number }): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId);
    const compute = await this.compute(machine.backend_id);
    const call = context.call(`${machineId}/${size.cpu}x${size.memoryMib}`);
    return fromOutcome(await compute.resizeMachine(call, machine.instance_id, size), 'The backend is resizing the machine.');
  }

  async move(context: Context, machineId: string, hostId: string): Promise<Answer> {
    return this.moveTo(context, machineId, hostId, '');
  }

  /**
   * For undos, whose move may still be on its way: once more after the settling time. Uses the step's memo. Where one of the
   * hosts is proven to be off, the machine stays where the backend has it.
   * @param toHostId where it was to go: it may be there although nobody has written that down
   */
  async moveBack(context: Context, machineId: string, hostId: string, toHostId: string): Promise<Answer> {
    const looksAgain = context.step.memo === 'settled';
    const stays = (await isHostOff(context.reader, machineId)) || (await isOff(context.reader, hostId)) || (await isOff(context.reader, toHostId));
    const answer = stays ? done() : await this.moveTo(context, machineId, hostId, looksAgain ? '/again' : '');
    if (looksAgain) return answer.type === 'WAIT' ? { ...answer, memo: 'settled' } : answer;
    if (answer.type === 'WAIT') return answer;
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has moved it.', memo: 'settled' });
  }

  private async moveTo(context: Context, machineId: string, hostId: string, round: string): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId);
    const hostName = await nameOfHost(context.reader, hostId);
    const compute = await this.compute(machine.backend_id);
    const outcome = await compute.moveMachine(context.call(`${machineId}/${hostName}${round}`), machine.instance_id, hostName);
    return fromOutcome(outcome, `The backend is moving the machine to ${hostName}.`);
  }

  async attachDisk(context: Context, machineId: string, diskId: string): Promise<Answer> {
    return this.attach(context, machineId, diskId, '');
  }

  /** For undos, whose detachment may still be on its way: once more after the settling time. A host that is silent shows it when it returns. */
  async attachDiskAgain(context: Context, machineId: string, diskId: string): Promise<Answer> {
    if ((await this.look(context, machineId)).power === 'UNKNOWN') return done();
    const looksAgain = context.step.memo === 'settled';
    const answer = await this.attach(context, machineId, diskId, looksAgain ? '/again' : '');
    if (looksAgain) return answer.type === 'WAIT' ? { ...answer, memo: 'settled' } : answer;
    if (answer.type === 'WAIT') return answer;
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has detached the disk.', memo: 'settled' });
  }

  /**
   * Ensures that the machine does not have the disk; a machine that the backend does not have has none.
   * @param options.settle for undos, whose attachment may still be on its way: look again after the settling time, and leave
   *   a host that is proven to be off until it returns
   */
  async detachDisk(context: Context, machineId: string, diskId: string, options: { settle?: boolean } = {}): Promise<Answer> {
    if (options.settle !== true) return this.detach(context, machineId, diskId, false);
    return this.unlessHostIsOff(context, machineId, () => this.detach(context, machineId, diskId, true));
  }

  private async attach(context: Context, machineId: string, diskId: string, round: string): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId);
    const compute = await this.compute(machine.backend_id);
    const outcome = await compute.attachDisk(context.call(`${machineId}/${diskId}/attach${round}`), machine.instance_id, diskId);
    return fromOutcome(outcome, 'The backend is attaching the disk.');
  }

  private async detach(context: Context, machineId: string, diskId: string, settle: boolean): Promise<Answer> {
    const machine = await readMachine(context.reader, machineId);
    const looksAgain = settle && context.step.memo === 'settled';
    const memo = looksAgain ? { memo: 'settled' } : {};
    const compute = await this.compute(machine.backend_id);
    const call = context.call(`${machineId}/${diskId}/detach${looksAgain ? '/again' : ''}`);
    const outcome = await compute.detachDisk(call, machine.instance_id, diskId).catch(isAbsent);
    if (outcome.state === 'PENDING') return wait({ afterMs: outcome.retryAfterMs, blocker: 'The backend is detaching the disk.', ...memo });
    if (!settle || looksAgain) return done();
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has attached the disk.', memo: 'settled' });
  }

  /** What the backend shows of the machine now. */
  async look(context: Context, machineId: string): Promise<ObservedMachine> {
    const machine = await readMachine(context.reader, machineId);
    const compute = await this.compute(machine.backend_id);
    const observed = await compute.getMachine(context.call(machineId), machine.instance_id);
    if (observed !== undefined) return observed;
    throw new MuonError('BACKEND_FAILED', 'The backend does not have the machine any more.', { data: { machineId }, fault: 'OPERATOR' });
  }

  /** A start that the backend has accepted is no proof: waits until the machine is seen in that state. */
  async confirmPower(context: Context, machineId: string, power: Power): Promise<Answer> {
    const observed = await this.look(context, machineId);
    if (observed.power === power) return done({ output: { power } });
    return wait({ afterMs: CONFIRM_RETRY_MS, blocker: `The machine is ${observed.power.toLowerCase()} and shall be ${power.toLowerCase()}.` });
  }

  private async compute(backendId: string): Promise<ComputeDriver> {
    return (await this.drivers.driver(backendId)).compute;
  }
}

function isAway(error: unknown): error is MuonError {
  return error instanceof MuonError && (error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT');
}

/** What is not there has no disk. */
function isAbsent(error: unknown): Outcome<void> {
  if (error instanceof MuonError && error.code === 'NOT_FOUND') return DONE;
  throw error;
}

async function changePower(
  compute: ComputeDriver,
  call: Parameters<ComputeDriver['startMachine']>[0],
  change: { instanceId: string; power: Power; from: ObservedMachine['power']; force: boolean },
): ReturnType<ComputeDriver['startMachine']> {
  const { instanceId, power, from, force } = change;
  if (power === 'STOPPED') return compute.stopMachine(call, instanceId, force);
  if (power === 'SUSPENDED') return compute.suspendMachine(call, instanceId);
  return from === 'SUSPENDED' ? compute.resumeMachine(call, instanceId) : compute.startMachine(call, instanceId);
}

/** @param place where it is looked at instead of where its row says */
async function readMachine(reader: Reader, machineId: string, place?: InstancePlace): Promise<MachineToRealise> {
  const machine = await reader.first(findMachineToRealise, machineId);
  if (machine === undefined) throw notFound('virtual machine', machineId);
  return place === undefined ? machine : { ...machine, instance_id: place.instanceId, host_id: place.hostId };
}

async function isHostOff(reader: Reader, machineId: string, place?: InstancePlace): Promise<boolean> {
  return isOff(reader, (await readMachine(reader, machineId, place)).host_id);
}

async function isOff(reader: Reader, hostId: string): Promise<boolean> {
  const [host] = await reader.rows(findHosts, [hostId]);
  return host !== undefined && hostState(host) === HostState.FENCED;
}

async function nameOfHost(reader: Reader, hostId: string): Promise<string> {
  const [host] = await reader.rows(findHosts, [hostId]);
  if (host === undefined) throw notFound('host', hostId);
  return host.name;
}

async function machineSpecification(reader: Reader, secrets: SecretService, machine: MachineToRealise, place?: InstancePlace): Promise<MachineSpecification> {
  const [hostName, ports, disks, installation, userData] = await Promise.all([
    nameOfHost(reader, machine.host_id),
    reader.rows(findPortsOfOwners, [machine.id]),
    reader.rows(findDisksOfOwners, [machine.id]),
    installationId(reader),
    openUserData(secrets, reader, machine),
  ]);
  return {
    machineId: machine.instance_id,
    hostname: machine.name,
    ownership: { installationId: installation, tenantId: machine.tenant_id, projectId: machine.project_id },
    hostName,
    imageReference: machine.image_reference,
    cpu: machine.cpu,
    memoryMib: machine.memory_mib,
    interfaces: ports.map((port) => ({
      portId: port.id,
      networkId: port.network_id,
      macAddress: port.mac_address,
      ipAddress: port.address,
    })),
    diskIds: place === undefined ? disks.map((disk) => disk.id) : [place.diskId],
    userData,
  };
}
