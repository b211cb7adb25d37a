import { setTimeout as pause } from 'node:timers/promises';
import { VirtualMachineService, type CreateVirtualMachineInput } from '#compute';
import { statement } from '#database';
import { LoadBalancerService, NetworkService } from '#network';
import type { CommandResult } from '#identity';
import { DiskService, type CreateDiskInput } from '#storage';
import { idIn } from '../bench/ids.js';
import type { Stage } from '../bench/lane.js';

/** What scenarios are made of, by the services that people use. */

const readState = statement<{ state: string; error: unknown; blocker: unknown }, [id: string]>(
  'faults.material_state',
  'SELECT state, error, blocker FROM operation WHERE id = $1',
);

let number = 0;

export function unique(noun: string): string {
  number += 1;
  return `${noun}-${number}`;
}

export interface Made {
  id: string;
  operationId: string;
}

export function startedBy({ result }: CommandResult): Made {
  return { id: idIn(result), operationId: idIn(result, 'operationId') };
}

/** Waits until it has succeeded. */
export async function finished(stage: Pick<Stage, 'bench'>, { id, operationId }: Made): Promise<string> {
  const deadline = Date.now() + stage.bench.ground.patienceMs;
  for (;;) {
    const row = await stage.bench.database.first(readState, operationId);
    if (row?.state === 'SUCCEEDED') return id;
    if (row === undefined || ['FAILED', 'CANCELLED', 'STUCK'].includes(row.state) || Date.now() > deadline) {
      throw new Error(`the stage could not be set: ${JSON.stringify(row)}`);
    }
    await pause(10);
  }
}

export async function startNetwork(stage: Stage, name = unique('net')): Promise<Made> {
  const { bench, projectId, zoneId } = stage;
  return startedBy(await bench.service(NetworkService).create(bench.access, { projectId, name, subnet: {}, zones: [zoneId] }));
}

export async function makeNetwork(stage: Stage): Promise<string> {
  return finished(stage, await startNetwork(stage));
}

export async function startMachine(stage: Stage, networkId: string, more: Partial<CreateVirtualMachineInput> = {}): Promise<Made> {
  const { bench, projectId, flavors, image } = stage;
  const input = { projectId, name: unique('vm'), flavor: flavors.small, image, networkId, ...more };
  return startedBy(await bench.service(VirtualMachineService).create(bench.access, input));
}

export async function makeMachine(stage: Stage, networkId: string, more: Partial<CreateVirtualMachineInput> = {}): Promise<string> {
  return finished(stage, await startMachine(stage, networkId, more));
}

export async function startDisk(stage: Stage, more: Partial<CreateDiskInput> = {}): Promise<Made> {
  const { bench, projectId } = stage;
  return startedBy(await bench.service(DiskService).create(bench.access, { projectId, name: unique('disk'), sizeGib: 5, ...more }));
}

/** A machine, and a disk that can be attached to it. */
export async function makePair(stage: Stage, networkId: string): Promise<{ virtualMachineId: string; diskId: string }> {
  const virtualMachineId = await makeMachine(stage, networkId);
  return { virtualMachineId, diskId: await finished(stage, await startDisk(stage, { virtualMachineId })) };
}

export async function startLoadBalancer(stage: Stage, networkId: string, members: readonly string[] = []): Promise<Made> {
  const { bench } = stage;
  const input = { networkId, name: unique('lb'), listeners: [{ port: 443, memberPort: 6443 }], members: [...members] };
  return startedBy(await bench.service(LoadBalancerService).create(bench.access, input));
}
