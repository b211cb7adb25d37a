import { z } from 'zod';
import { descriptionSchema, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { planRemoval } from '../usage/removal.js';
import { usesOfZone } from '../usage/usage.sql.js';
import type { InfrastructureUsage } from '../usage/usage.js';
import { zoneId, type ZoneRow } from './zone.js';
import { findZones, findZonesByReference } from './zone.sql.js';

constraintMeans('zone_name', () => new MuonError('ALREADY_EXISTS', 'A zone of this name exists already.', { field: 'input.name' }));
const zoneGone = (): MuonError =>
  new MuonError('CONFLICT', 'The zone was deleted, or came into use, at the same time; read it again.', { data: { fact: 'zone' } });
for (const constraint of ['rack_zone', 'host_zone', 'datastore_zone']) constraintMeans(constraint, zoneGone);

const createSchema = z.strictObject({ name: nameSchema, description: descriptionSchema.default('') });
const updateSchema = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  name: nameSchema.optional(),
  description: descriptionSchema.optional(),
});
export type CreateZoneInput = z.input<typeof createSchema>;
export type UpdateZoneInput = z.input<typeof updateSchema>;

/** Availability zones, made by the system's owners. */
export class ZoneService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly usage: InfrastructureUsage,
  ) {}

  async create(access: Access, raw: CreateZoneInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSchema, raw);
    const plan = async (): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'zone');
      const id = zoneId.create();
      const changes = new ChangeSet().add(ROWS, { table: 'zone', insert: { id, ...input } });
      changes.resources.push({ action: 'CREATE', kind: 'zone', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createZone', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  async update(access: Access, raw: UpdateZoneInput, options: CommandOptions = {}): Promise<CommandResult> {
    const { id, expectedVersion, ...set } = parseInput(updateSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'zone');
      const row = await requireZone(reader, id);
      const version = expectedVersion ?? row.version;
      if (version !== row.version) throw versionConflict('zone', { id, version });
      const changes = new ChangeSet();
      if (Object.keys(set).length > 0) changes.add(ROWS, { table: 'zone', update: set, id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'zone', id, name: row.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'updateZone', input: { ...raw }, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** In use, it takes no new hosts and machines and goes with the last of them. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'zone');
      const row = await requireZone(reader, id);
      const uses = [...(await reader.rows(usesOfZone, id)), ...(await this.usage.of(reader, 'zone', id))];
      return planRemoval('zone', row, uses);
    };
    return this.commands.run({ access, name: 'deleteZone', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

async function requireZone(reader: Reader, id: string): Promise<ZoneRow> {
  const [row] = await reader.rows(findZones, [id]);
  if (row === undefined) throw notFound('zone', id, 'input.id');
  return row;
}

/** By id or name, and willing to take newcomers. @throws NOT_FOUND, INVALID_STATE */
export async function requireActiveZone(reader: Reader, reference: string, field: string): Promise<ZoneRow> {
  const [row] = await reader.rows(findZonesByReference, [reference]);
  if (row === undefined) throw notFound('zone', reference, field);
  if (row.state === 'ACTIVE') return row;
  throw new MuonError('INVALID_STATE', `The zone "${row.name}" is being withdrawn and takes nothing new.`, { field });
}
