import { z } from 'zod';
import { MuonError, notFound, parseInput, type JsonObject } from '#core';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { findLocalDatastores } from '../datastore/datastore.sql.js';
import { requireActiveRacks } from '../rack/rack.service.js';
import type { InfrastructureUsage } from '../usage/usage.js';
import { labelsSchema, overcommitSchema } from './host-registration.js';
import type { HostOccupancy } from './host-occupants.js';
import { hostState, type HostRow } from './host.js';
import { findHosts } from './host.sql.js';

export const reasonSchema = z.string().trim().min(1, 'Say why.').max(1000);
export const hostTarget = { id: z.string().max(100), expectedVersion: z.int().min(0).optional() };
const suspendSchema = z.strictObject({ ...hostTarget, reason: reasonSchema.optional() });
const targetSchema = z.strictObject(hostTarget);
const updateSchema = z.strictObject({
  ...hostTarget,
  /** Null: it stands in no rack. */
  rackId: z.string().max(100).nullable().optional(),
  labels: labelsSchema.optional(),
  cpuOvercommit: overcommitSchema.cpu.optional(),
  memoryOvercommit: overcommitSchema.memory.optional(),
});
const attestSchema = z.strictObject({ ...hostTarget, reason: reasonSchema });
export type SuspendHostInput = z.input<typeof suspendSchema>;
export type HostTargetInput = z.input<typeof targetSchema>;
export type UpdateHostInput = z.input<typeof updateSchema>;
export type AttestHostOffInput = z.input<typeof attestSchema>;

interface Change {
  name: string;
  target: { id: string; expectedVersion?: number | undefined };
  input: JsonObject;
  action?: Action;
}

/** What operators do to hosts, one at a time; maintenance has a service of its own. */
export class HostService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly occupancy: HostOccupancy,
    private readonly usage: InfrastructureUsage,
  ) {}

  /** It keeps its machines and gets no new ones. */
  async suspend(access: Access, raw: SuspendHostInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(suspendSchema, raw);
    return this.change(access, { name: 'suspendHost', target: input, input }, options, async (_reader, host) => {
      requireIntent(host, ['ENABLED', 'SUSPENDED'], 'It is in maintenance, which keeps new machines away already.');
      return { intent: 'SUSPENDED', intent_reason: input.reason ?? null };
    });
  }

  async resume(access: Access, raw: HostTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(targetSchema, raw);
    return this.change(access, { name: 'resumeHost', target: input, input }, options, async (_reader, host) => {
      requireIntent(host, ['ENABLED', 'SUSPENDED'], 'It is in maintenance; leave that by exitMaintenance.');
      return { intent: 'ENABLED', intent_reason: null };
    });
  }

  /** Its place, labels and overcommit ratios. Lower ratios leave what is claimed and only take no more. */
  async update(access: Access, raw: UpdateHostInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateSchema, raw);
    return this.change(access, { name: 'updateHost', target: input, input }, options, async (reader, host) => {
      const { rackId } = input;
      if (typeof rackId === 'string') await requireActiveRacks(reader, host.zone_id, [{ id: rackId, field: 'input.rackId' }]);
      return {
        rack_id: rackId === undefined ? host.rack_id : rackId,
        labels: input.labels ?? host.labels,
        cpu_overcommit: input.cpuOvercommit ?? host.cpu_overcommit,
        memory_overcommit: input.memoryOvercommit ?? host.memory_overcommit,
      };
    });
  }

  /**
   * An operator vouches that a silent host is off, so that its machines may be started elsewhere. Whoever is wrong here
   * lets two machines write to the same data, so a reason is kept.
   */
  async attestOff(access: Access, raw: AttestHostOffInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(attestSchema, raw);
    return this.change(access, { name: 'attestHostOff', target: input, input }, options, async (_reader, host) => {
      if (host.health !== 'DOWN') {
        throw invalidHostState(host, 'Only a host that is down can be attested to be off; suspend or drain this one instead.');
      }
      return { fence: 'PROVEN_OFF', fence_source: 'OPERATOR', fence_since: new Date().toISOString(), fence_reason: input.reason };
    });
  }

  /** Only when nothing is left on it; its own datastores go with it. */
  async deregister(access: Access, raw: HostTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(targetSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'host');
      const host = await requireHost(reader, input.id, input.expectedVersion);
      const occupants = await this.occupancy.count(reader, host);
      if (occupants > 0) {
        throw invalidHostState(host, `${occupants} machines are on it; move them away by enterMaintenance first.`, { occupants });
      }
      const changes = new ChangeSet();
      for (const { id, name, version } of await reader.rows(findLocalDatastores, host.id)) {
        const [use] = await this.usage.of(reader, 'datastore', id);
        if (use !== undefined) {
          throw invalidHostState(host, `${use.count} ${use.users} are on its datastore "${name}"; delete them first.`, { datastoreId: id, [use.users]: use.count });
        }
        changes.add(ROWS, { table: 'datastore', remove: true, id, version });
      }
      changes.add(ROWS, { table: 'host', remove: true, id: host.id, version: host.version });
      changes.resources.push({ action: 'DELETE', kind: 'host', id: host.id, name: host.name });
      changes.result = { id: host.id };
      return changes;
    };
    return this.commands.run({ access, name: 'deregisterHost', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  private async change(
    access: Access,
    change: Change,
    options: CommandOptions,
    set: (reader: Reader, host: HostRow) => Promise<Record<string, unknown>>,
  ): Promise<CommandResult> {
    const { name, target, input } = change;
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(change.action ?? Action.MODIFY, 'host');
      const host = await requireHost(reader, target.id, target.expectedVersion);
      const changes = new ChangeSet().add(ROWS, { table: 'host', update: await set(reader, host), id: host.id, version: host.version });
      changes.resources.push({ action: 'UPDATE', kind: 'host', id: host.id, name: host.name });
      changes.result = { id: host.id };
      return changes;
    };
    return this.commands.run({ access, name, input, place: SYSTEM_PLACE, ...options }, plan);
  }
}

/** @throws NOT_FOUND; CONFLICT when another version was expected */
export async function requireHost(reader: Reader, id: string, expectedVersion?: number): Promise<HostRow> {
  const [host] = await reader.rows(findHosts, [id]);
  if (host === undefined) throw notFound('host', id, 'input.id');
  if (expectedVersion !== undefined && expectedVersion !== host.version) throw versionConflict('host', { id, version: expectedVersion });
  return host;
}

export function requireIntent(host: HostRow, allowed: readonly HostRow['intent'][], why: string): void {
  if (!allowed.includes(host.intent)) throw invalidHostState(host, why);
}

export function invalidHostState(host: HostRow, why: string, data: JsonObject = {}): MuonError {
  return new MuonError('INVALID_STATE', `The host "${host.name}" does not allow this: ${why}`, {
    field: 'input.id',
    data: { hostId: host.id, state: hostState(host), ...data },
  });
}
