import {
  hashOf,
  type ComputeDriver,
  type DriverCall,
  type GuestRun,
  type GuestRunResult,
  type MachineSpecification,
  type ObservedMachine,
  type Outcome,
} from '#drivers';
import type { Request, SimulatedBackend } from './backend.js';

export class SimulatedCompute implements ComputeDriver {
  constructor(private readonly backend: SimulatedBackend) {}

  async createMachine(call: DriverCall, specification: MachineSpecification): Promise<Outcome<ObservedMachine>> {
    const { machineId, ownership, interfaces, ...rest } = specification;
    return this.backend.ask(call, {
      method: 'createMachine',
      effect: 'CHANGE',
      needs: ['compute'],
      ids: [machineId],
      arguments: {
        ...rest,
        ...ownership,
        portIds: interfaces.map((card) => card.portId),
        ipAddress: interfaces[0]?.ipAddress ?? null,
        ...this.checks(),
        hash: hashOf(specification),
      },
    });
  }

  async startMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.change(call, 'startMachine', machineId);
  }

  async stopMachine(call: DriverCall, machineId: string, force: boolean): Promise<Outcome<void>> {
    return this.change(call, 'stopMachine', machineId, { force });
  }

  async suspendMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.change(call, 'suspendMachine', machineId, {}, ['compute', 'suspend']);
  }

  async resumeMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.change(call, 'resumeMachine', machineId, {}, ['compute', 'suspend']);
  }

  async restartMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    // The key is how a repeat is told from another restart.
    return this.change(call, 'restartMachine', machineId, { key: call.idempotencyKey });
  }

  async resizeMachine(call: DriverCall, machineId: string, size: { cpu: number; memoryMib: number }): Promise<Outcome<void>> {
    return this.change(call, 'resizeMachine', machineId, { ...size }, ['compute', 'resize']);
  }

  async moveMachine(call: DriverCall, machineId: string, hostName: string): Promise<Outcome<void>> {
    return this.change(call, 'moveMachine', machineId, { hostName }, ['compute', 'moveStopped']);
  }

  async deleteMachine(call: DriverCall, machineId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, { method: 'deleteMachine', effect: 'REMOVE', needs: ['compute'], ids: [machineId] });
  }

  async attachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'attachDisk',
      effect: 'CHANGE',
      needs: ['compute'],
      ids: [machineId, diskId],
      arguments: { diskId, ...this.checks() },
    });
  }

  async detachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'detachDisk',
      effect: 'CHANGE',
      needs: ['compute'],
      ids: [machineId, diskId],
      arguments: { diskId },
    });
  }

  async runInGuest(call: DriverCall, run: GuestRun): Promise<Outcome<GuestRunResult>> {
    // What comes on standard input is a secret and goes no further.
    return this.backend.ask(call, {
      method: 'runInGuest',
      effect: 'CHANGE',
      needs: ['compute', 'guestRun'],
      ids: [run.machineId, run.runId],
      objectId: run.runId,
      arguments: { runId: run.runId, script: run.script, answers: run.answers ?? [] },
    });
  }

  async readConsole(call: DriverCall, machineId: string): Promise<string> {
    return this.backend.look(call, { method: 'readConsole', effect: 'READ', needs: ['compute'], ids: [machineId] });
  }

  async getMachine(call: DriverCall, machineId: string): Promise<ObservedMachine | undefined> {
    return this.backend.look(call, { method: 'getMachine', effect: 'READ', needs: ['compute'], ids: [machineId] });
  }

  async listMachines(call: DriverCall, after: string | null, limit: number): Promise<ObservedMachine[]> {
    return this.backend.look(call, { method: 'listMachines', effect: 'READ', needs: ['compute'], arguments: { after, limit } });
  }

  private async change(
    call: DriverCall,
    method: string,
    machineId: string,
    arguments_: Record<string, unknown> = {},
    needs: Request['needs'] = ['compute'],
  ): Promise<Outcome<void>> {
    return this.backend.ask(call, { method, effect: 'CHANGE', needs, ids: [machineId], arguments: arguments_ });
  }

  /** Ports and disks of another backend cannot be looked for in this one. */
  private checks(): { checkPorts: boolean; checkDisks: boolean } {
    const { network, storage } = this.backend.settings.capabilities;
    return { checkPorts: network, checkDisks: storage };
  }
}
