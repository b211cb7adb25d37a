import { z } from 'zod';
import { MuonError, parseInput, type JsonObject } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { lockResources, operationId, OPERATIONS } from '#operations';
import { ENTER_MAINTENANCE, MAX_MOVES } from './host.operations.js';
import type { HostOccupancy, HostOccupant } from './host-occupants.js';
import { hostState, type HostRow } from './host.js';
import { hostTarget, invalidHostState, reasonSchema, requireHost, requireIntent } from './host.service.js';

/** What happens when something on the host cannot be moved away. */
export const WhenBlocked = { REFUSE: 'REFUSE', WAIT: 'WAIT' } as const;
export type WhenBlocked = (typeof WhenBlocked)[keyof typeof WhenBlocked];

const enterSchema = z.strictObject({
  ...hostTarget,
  reason: reasonSchema.optional(),
  /** REFUSE lists what blocks it and does nothing; WAIT moves the rest and waits until the others are gone. */
  whenBlocked: z.enum(WhenBlocked).default('REFUSE'),
});
const exitSchema = z.strictObject(hostTarget);
export type EnterMaintenanceInput = z.input<typeof enterSchema>;
export type ExitMaintenanceInput = z.input<typeof exitSchema>;

/** How many occupants a plan or a refusal names. */
const MAX_NAMED = 20;

/** Empties hosts, so that whatever is done to them harms nobody, and takes them back. */
export class HostMaintenanceService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly occupancy: HostOccupancy,
  ) {}

  /**
   * Keeps new machines away at once and starts the operation that moves those away that are there.
   * @throws INVALID_STATE with `data.blocked` when something cannot be moved (a dry run shows it as a problem)
   */
  async enter(access: Access, raw: EnterMaintenanceInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(enterSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'host');
      const host = await requireHost(reader, input.id, input.expectedVersion);
      requireIntent(host, ['ENABLED', 'SUSPENDED'], 'It is in maintenance already.');
      const found = await this.occupancy.list(reader, host, MAX_MOVES + 1);
      if (found.length > MAX_MOVES) {
        throw invalidHostState(host, `More than ${MAX_MOVES} machines are on it; suspend it and move some away first.`);
      }
      const occupants = found.map((each) => each.occupant);
      const changes = this.planEntry(host, occupants, input);
      const blocked = occupants.filter((each) => each.blocked !== null);
      if (blocked.length > 0 && input.whenBlocked === 'REFUSE') changes.problems.push(blockedProblem(host, blocked).toRecord());
      return changes;
    };
    return this.commands.run({ access, name: 'enterMaintenance', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** Takes the host back into service. While it is still being emptied, cancel that operation instead. */
  async exit(access: Access, raw: ExitMaintenanceInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(exitSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'host');
      const host = await requireHost(reader, input.id, input.expectedVersion);
      requireIntent(host, ['MAINTENANCE'], 'It is not in maintenance.');
      if (!host.vacant) throw invalidHostState(host, 'It is still being emptied; cancel that operation instead.');
      const update = { intent: 'ENABLED', intent_reason: null, vacant: false };
      const changes = new ChangeSet().add(ROWS, { table: 'host', update, id: host.id, version: host.version });
      changes.resources.push({ action: 'UPDATE', kind: 'host', id: host.id, name: host.name });
      changes.result = { id: host.id };
      return changes;
    };
    return this.commands.run({ access, name: 'exitMaintenance', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  private planEntry(host: HostRow, occupants: readonly HostOccupant[], input: z.output<typeof enterSchema>): ChangeSet {
    const movable = occupants.filter((each) => each.blocked === null);
    const id = operationId.create();
    const changes = new ChangeSet();
    // What is moved is held by its move alone: whatever stays is free to be stopped, detached or deleted meanwhile.
    lockResources(changes, id, [host.id]);
    const update = { intent: 'MAINTENANCE', intent_reason: input.reason ?? null, vacant: false };
    changes.add(ROWS, { table: 'host', update, id: host.id, version: host.version });
    changes.add(OPERATIONS, {
      id,
      kind: ENTER_MAINTENANCE,
      resourceKind: 'hst',
      resourceId: host.id,
      tenantId: null,
      projectId: null,
      input: { hostId: host.id, intentBefore: host.intent, reasonBefore: host.intent_reason },
    });
    changes.resources.push({ action: 'UPDATE', kind: 'host', id: host.id, name: host.name, data: { state: hostState(host) } });
    for (const each of movable.slice(0, MAX_NAMED)) {
      changes.resources.push({ action: 'UPDATE', kind: each.kind, id: each.resourceId, name: each.name, data: { moves: true } });
    }
    const counts = { movable: movable.length, blocked: occupants.length - movable.length };
    changes.reasons.push({ subject: host.name, message: `${counts.movable} would be moved away, ${counts.blocked} cannot be.`, data: counts });
    changes.result = { id: host.id, operationId: id };
    return changes;
  }
}

function blockedProblem(host: HostRow, blocked: readonly HostOccupant[]): MuonError {
  const named: JsonObject[] = blocked.slice(0, MAX_NAMED).map((each) => ({
    id: each.resourceId,
    kind: each.kind,
    name: each.name,
    code: each.blocked?.code ?? null,
    message: each.blocked?.message ?? null,
  }));
  const first = blocked[0];
  const why = `${blocked.length} cannot be moved away, the first of them "${first?.name ?? ''}": ${first?.blocked?.message ?? ''}`;
  return invalidHostState(host, why, { blocked: named, blockedCount: blocked.length });
}
