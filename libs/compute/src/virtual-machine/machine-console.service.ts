import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput } from '#core';
import { ChangeSet, Database, type Reader } from '#database';
import { Action, CommandRunner, type Access, type Place } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { requirePresent } from './machine-presence.js';
import type { VirtualMachineRow } from './virtual-machine.js';
import { findVirtualMachines } from './virtual-machine.sql.js';

const CALL_TIMEOUT_MS = 10_000;
const MAX_LINES = 1000;
/** Of what is shown, whatever a backend gives. */
const MAX_CHARACTERS = 64 * 1024;

const readConsoleInput = z.strictObject({
  id: z.string().min(1).max(100),
  lines: z.int().min(1, 'At least one line.').max(MAX_LINES, `At most ${MAX_LINES} lines.`).default(200),
});
export type ReadConsoleInput = z.input<typeof readConsoleInput>;

export interface ConsoleOutput {
  virtualMachineId: string;
  /** Null when an idempotency key repeats the request: it is stored nowhere. */
  output: string | null;
  /** Whether the backend had more than is shown. */
  isTruncated: boolean;
}

/**
 * Shows what a machine has written to its console. That may hold secrets, as what cloud-init prints: it is for those who may
 * change the machine, each look is audited, and the text is neither stored nor logged.
 */
@Injectable()
export class MachineConsoleService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly drivers: DriverRegistry,
  ) {}

  /** @throws NOT_FOUND, FORBIDDEN; INVALID_STATE of one that is not there; UNAVAILABLE while its host does not answer */
  async read(access: Access, raw: ReadConsoleInput, options: { idempotencyKey?: string | undefined } = {}): Promise<ConsoleOutput> {
    const input = parseInput(readConsoleInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    let shown: Pick<ConsoleOutput, 'output' | 'isTruncated'> = { output: null, isTruncated: false };
    const find = async (reader: Reader): Promise<VirtualMachineRow> => {
      const machine = await this.find(reader, access, input.id);
      Object.assign(place, { tenantId: machine.tenant_id, projectId: machine.project_id });
      return machine;
    };
    const prepare = async (): Promise<void> => {
      const machine = await find(this.database);
      await requireReachable(this.database, machine);
      const { compute } = await this.drivers.driver(machine.backend_id);
      const call = { idempotencyKey: `console/${machine.id}`, timeoutMs: CALL_TIMEOUT_MS, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) };
      shown = lastOf(await compute.readConsole(call, machine.instance_id), input.lines);
    };
    // It changes nothing, and says why a machine does not start also while changes are stopped.
    const command = { access, name: 'readVirtualMachineConsole', input, place, evenPaused: true, ...options };
    const { result } = await this.commands.runPrepared(command, prepare, async (reader) => {
      const changes = new ChangeSet();
      changes.result = { id: (await find(reader)).id };
      return changes;
    });
    return { virtualMachineId: result.id as string, ...shown };
  }

  private async find(reader: Reader, access: Access, id: string): Promise<VirtualMachineRow> {
    const [row] = await reader.rows(findVirtualMachines, [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    const machine = access.require(Action.MODIFY, 'virtual machine', known, id, 'input.id');
    // What a node shows may let somebody into its cluster.
    if (machine.owner_id !== null) access.require(Action.MODIFY, 'cluster', machine, machine.owner_id, 'input.id');
    return machine;
  }
}

async function requireReachable(reader: Reader, machine: VirtualMachineRow): Promise<void> {
  await requirePresent(reader, machine);
  if (machine.observed_power !== 'UNKNOWN') return;
  const message = `The console of the machine "${machine.name}" cannot be read now: ${machine.observed_reason ?? 'nobody knows whether it runs.'}`;
  throw new MuonError('UNAVAILABLE', message, { field: 'input.id' });
}

function lastOf(text: string, lines: number): { output: string; isTruncated: boolean } {
  const all = text.replace(/\n$/, '');
  const output = all.split('\n').slice(-lines).join('\n').slice(-MAX_CHARACTERS);
  return { output, isTruncated: output.length < all.length };
}
