import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Database, type Reader } from '#database';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { requireActiveBackend } from '../backend/backend.service.js';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { findHosts } from '../host/host.sql.js';
import { readInventory, type Inventory } from '../host/inventory.js';
import { planRemoval } from '../usage/removal.js';
import type { InfrastructureUsage } from '../usage/usage.js';
import { requireActiveZone } from '../zone/zone.service.js';
import { datastoreId, type DatastoreRow } from './datastore.js';
import { findDatastores } from './datastore.sql.js';
import { guaranteeColumns, guaranteesSchema } from './guarantees.js';

const taken = (): MuonError => new MuonError('ALREADY_EXISTS', 'This pool is a datastore already.', { field: 'input.name' });
for (const constraint of ['datastore_name', 'datastore_shared_name']) constraintMeans(constraint, taken);
constraintMeans(
  'datastore_host',
  () => new MuonError('CONFLICT', 'The host went, or came into use, at the same time; read it again.', { data: { fact: 'host' } }),
);

const overcommit = z.number().min(0.1).max(100);
const addSchema = z.strictObject({
  backendId: z.string().max(100),
  /** The backend's own name of the pool. */
  name: z.string().min(1).max(253),
  /** The host whose own pool it is; without it the pool is shared. */
  hostId: z.string().max(100).optional(),
  /** Of a shared pool: only hosts of this zone reach it. */
  zoneId: z.string().max(100).optional(),
  kind: nameSchema.default('standard'),
  overcommit: overcommit.default(1),
  /** None when left out. */
  guarantees: guaranteesSchema.prefault({}),
});
const updateSchema = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  kind: nameSchema.optional(),
  overcommit: overcommit.optional(),
  /** All of them anew; disks whose policy asks for more become NONCOMPLIANT. */
  guarantees: guaranteesSchema.optional(),
  /** A suspended one keeps its disks and gets no new ones. */
  state: z.enum(['ACTIVE', 'SUSPENDED']).optional(),
});
export type AddDatastoreInput = z.input<typeof addSchema>;
export type UpdateDatastoreInput = z.input<typeof updateSchema>;

/** Pools of backends that disks may live in. Those that hosts bring are added when the hosts are registered. */
export class DatastoreService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly drivers: DriverRegistry,
    private readonly usage: InfrastructureUsage,
  ) {}

  /** @throws INVALID_INPUT when the backend reports no such pool */
  async add(access: Access, raw: AddDatastoreInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(addSchema, raw);
    const prepare = async (): Promise<Inventory> => {
      access.requireSystem(Action.CREATE_CHILD, 'datastore');
      return readInventory(this.drivers, await requireActiveBackend(this.database, input.backendId, 'input.backendId'));
    };
    const plan = async (reader: Reader, inventory: Inventory): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'datastore');
      const row = await planDatastore(reader, input, inventory);
      const changes = new ChangeSet().add(ROWS, { table: 'datastore', insert: row });
      changes.resources.push({ action: 'CREATE', kind: 'datastore', id: row.id, name: input.name });
      changes.result = { id: row.id };
      return changes;
    };
    return this.commands.runPrepared({ access, name: 'addDatastore', input, place: SYSTEM_PLACE, ...options }, prepare, plan);
  }

  async update(access: Access, raw: UpdateDatastoreInput, options: CommandOptions = {}): Promise<CommandResult> {
    const { id, expectedVersion, guarantees, ...plain } = parseInput(updateSchema, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'datastore');
      const row = await requireDatastore(reader, id);
      const version = expectedVersion ?? row.version;
      const set = { ...plain, ...(guarantees === undefined ? {} : guaranteeColumns(guarantees, row, 'input.guarantees')) };
      if (version !== row.version) throw versionConflict('datastore', { id, version });
      if (row.state === 'PENDING_DELETE' && plain.state !== undefined) {
        throw new MuonError('INVALID_STATE', `The datastore "${row.name}" is being withdrawn.`, { field: 'input.state' });
      }
      const changes = new ChangeSet();
      if (Object.keys(set).length > 0) changes.add(ROWS, { table: 'datastore', update: set, id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'datastore', id, name: row.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'updateDatastore', input: { ...raw }, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** In use, it takes no new disks and goes with the last of them. The pool itself is left alone. */
  async remove(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'datastore');
      return planRemoval('datastore', await requireDatastore(reader, id), await this.usage.of(reader, 'datastore', id));
    };
    return this.commands.run({ access, name: 'removeDatastore', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

async function planDatastore(
  reader: Reader,
  input: z.output<typeof addSchema>,
  inventory: Inventory,
): Promise<Record<string, unknown> & { id: string }> {
  const backend = await requireActiveBackend(reader, input.backendId, 'input.backendId');
  const host = input.hostId === undefined ? undefined : (await reader.rows(findHosts, [input.hostId]))[0];
  if (input.hostId !== undefined && host?.backend_id !== input.backendId) throw notFound('host', input.hostId, 'input.hostId');
  if (host !== undefined && input.zoneId !== undefined) throw invalidInput('input.zoneId', 'A host’s own pool is in its zone; leave this out.');
  const zone = input.zoneId === undefined ? undefined : await requireActiveZone(reader, input.zoneId, 'input.zoneId');
  const seen = host === undefined ? [...inventory.values()] : [inventory.get(host.name)].filter((each) => each !== undefined);
  const pool = seen.flatMap((each) => each.pools).find((each) => each.name === input.name && each.shared === (host === undefined));
  if (pool === undefined) {
    const kind = host === undefined ? 'shared pool' : `pool of the host "${host.name}"`;
    throw invalidInput('input.name', `The backend reports no ${kind} "${input.name}"; name one that it has.`);
  }
  const place = { zone_id: host?.zone_id ?? zone?.id ?? null, host_id: host?.id ?? null };
  return {
    id: datastoreId.create(),
    backend_id: input.backendId,
    ...place,
    name: input.name,
    kind: input.kind,
    overcommit: input.overcommit,
    capacity_gib: pool.capacityGib,
    limits_iops: backend.capabilities.iopsLimit ?? false,
    ...guaranteeColumns(input.guarantees, place, 'input.guarantees'),
  };
}

async function requireDatastore(reader: Reader, id: string): Promise<DatastoreRow> {
  const [row] = await reader.rows(findDatastores, [id]);
  if (row === undefined) throw notFound('datastore', id, 'input.id');
  return row;
}
