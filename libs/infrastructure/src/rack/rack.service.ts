import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { planRemoval } from '../usage/removal.js';
import { usesOfRack } from '../usage/usage.sql.js';
import { requireActiveZone } from '../zone/zone.service.js';
import { rackId, type RackRow } from './rack.js';
import { findRacks } from './rack.sql.js';

constraintMeans(
  'rack_name',
  () => new MuonError('ALREADY_EXISTS', 'A rack of this name exists already in the zone.', { field: 'input.name' }),
);
constraintMeans(
  'host_rack',
  () => new MuonError('CONFLICT', 'The rack was deleted, or came into use, at the same time; read it again.', { data: { fact: 'rack' } }),
);

const createSchema = z.strictObject({ zoneId: z.string().max(100), name: nameSchema });
export type CreateRackInput = z.input<typeof createSchema>;

/** Racks: hosts that share power and a switch, for affinity over racks. */
export class RackService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: CreateRackInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'rack');
      const zone = await requireActiveZone(reader, input.zoneId, 'input.zoneId');
      const id = rackId.create();
      const changes = new ChangeSet().add(ROWS, { table: 'rack', insert: { id, zone_id: zone.id, name: input.name } });
      changes.resources.push({ action: 'CREATE', kind: 'rack', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createRack', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'rack');
      const [row] = await reader.rows(findRacks, [id]);
      if (row === undefined) throw notFound('rack', id, 'input.id');
      return planRemoval('rack', row, await reader.rows(usesOfRack, id));
    };
    return this.commands.run({ access, name: 'deleteRack', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

/** Racks of one zone that take hosts, all in one query. @throws NOT_FOUND, INVALID_STATE, INVALID_INPUT naming the first's field */
export async function requireActiveRacks(
  reader: Reader,
  zoneId: string,
  wanted: readonly { id: string; field: string }[],
): Promise<Map<string, RackRow>> {
  const rows = wanted.length === 0 ? [] : await reader.rows(findRacks, [...new Set(wanted.map((each) => each.id))]);
  const found = new Map(rows.map((row) => [row.id, row]));
  for (const { id, field } of wanted) {
    const row = found.get(id);
    if (row === undefined) throw notFound('rack', id, field);
    if (row.zone_id !== zoneId) throw invalidInput(field, `The rack "${row.name}" stands in another zone; name one of the host's zone.`);
    if (row.state !== 'ACTIVE') {
      throw new MuonError('INVALID_STATE', `The rack "${row.name}" is being withdrawn and takes no new hosts.`, { field });
    }
  }
  return found;
}
