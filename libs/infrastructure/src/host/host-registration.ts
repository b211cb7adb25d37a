import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Database, type Reader } from '#database';
import type { ObservedHost } from '#drivers';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import type { BackendRow } from '../backend/backend.js';
import { requireActiveBackend } from '../backend/backend.service.js';
import { datastoreId } from '../datastore/datastore.js';
import { findSharedPoolNames } from '../datastore/datastore.sql.js';
import { guaranteeColumns, guaranteesSchema, NO_GUARANTEES } from '../datastore/guarantees.js';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { requireActiveRacks } from '../rack/rack.service.js';
import type { ZoneRow } from '../zone/zone.js';
import { requireActiveZone } from '../zone/zone.service.js';
import { hostId } from './host.js';
import { findHostNames } from './host.sql.js';
import { readInventory, type Inventory } from './inventory.js';

constraintMeans('host_name', () => new MuonError('ALREADY_EXISTS', 'Another request registered one of these hosts just now.'));

export const MAX_HOSTS_AT_ONCE = 10_000;
/** A plan lists this many of its hosts by name. */
const MAX_LISTED = 100;

export const HOST_NAME_RULE = 'A host name has 1 to 253 letters, digits, dots, hyphens and underscores, as its backend calls it.';
const hostNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, HOST_NAME_RULE);
export const labelsSchema = z.array(nameSchema).max(50);
export const overcommitSchema = {
  cpu: z.number().min(0.1).max(100),
  memory: z.number().min(0.1).max(10),
};

const registerSchema = z.strictObject({
  backendId: z.string().max(100),
  /** Id or name. */
  zoneId: z.string().max(100),
  /** For all hosts that name none of their own. */
  rackId: z.string().max(100).optional(),
  /** These; without it every host of the backend that is not registered yet. */
  hosts: z
    .array(z.strictObject({ name: hostNameSchema, rackId: z.string().max(100).optional(), labels: labelsSchema.optional() }))
    .min(1)
    .max(MAX_HOSTS_AT_ONCE)
    .optional(),
  /** Of the backend's hosts only those whose names begin so. */
  namePrefix: z.string().max(253).default(''),
  labels: labelsSchema.default([]),
  cpuOvercommit: overcommitSchema.cpu.default(16),
  memoryOvercommit: overcommitSchema.memory.default(1),
  /** What kind of datastore the hosts' own pools become, and the shared ones that are seen for the first time. */
  datastoreKind: nameSchema.default('standard'),
  /** What the hosts' own pools survive; no failure when left out. Of shared ones it is said one by one. */
  localGuarantees: guaranteesSchema.prefault({}),
});
export type RegisterHostsInput = z.input<typeof registerSchema>;
type RegisterHosts = z.output<typeof registerSchema>;

interface Chosen {
  observed: ObservedHost;
  rackId: string | null;
  labels: string[];
}

/** Takes hosts of a backend into service, one or ten thousand by one command, with the pools that they bring. */
export class HostRegistration {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly drivers: DriverRegistry,
  ) {}

  /** The result holds `hosts`, how many were registered, and `hostIds`, of the first hundred. */
  async register(access: Access, raw: RegisterHostsInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(registerSchema, raw);
    const prepare = async (): Promise<Inventory> => {
      access.requireSystem(Action.CREATE_CHILD, 'host');
      return readInventory(this.drivers, await requireActiveBackend(this.database, input.backendId, 'input.backendId'));
    };
    const plan = async (reader: Reader, inventory: Inventory): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'host');
      const backend = await requireActiveBackend(reader, input.backendId, 'input.backendId');
      const zone = await requireActiveZone(reader, input.zoneId, 'input.zoneId');
      const chosen = await choose(reader, input, zone, inventory);
      const knownPools = new Set((await reader.rows(findSharedPoolNames, input.backendId)).map((row) => row.name));
      return planHosts(input, { zone, backend }, chosen, knownPools);
    };
    const { hosts, ...rest } = input;
    const audited = { ...rest, hosts: hosts === undefined ? null : { count: hosts.length, first: hosts[0]?.name ?? null } };
    const command = { access, name: 'registerHosts', input: audited, hidden: { hosts: hosts ?? null }, place: SYSTEM_PLACE, ...options };
    return this.commands.runPrepared(command, prepare, plan);
  }
}

async function choose(
  reader: Reader,
  input: RegisterHosts,
  zone: ZoneRow,
  inventory: Inventory,
): Promise<Chosen[]> {
  const known = new Set((await reader.rows(findHostNames, input.backendId)).map((row) => row.name));
  const common = { rackId: input.rackId ?? null, labels: input.labels };
  const racks = input.rackId === undefined ? [] : [{ id: input.rackId, field: 'input.rackId' }];
  if (input.hosts === undefined) {
    await requireActiveRacks(reader, zone.id, racks);
    const fresh = [...inventory.values()].filter((host) => host.hostName.startsWith(input.namePrefix) && !known.has(host.hostName));
    if (fresh.length > MAX_HOSTS_AT_ONCE) {
      throw new MuonError('LIMIT_EXCEEDED', `At most ${MAX_HOSTS_AT_ONCE} hosts are registered at once; narrow them by namePrefix.`, {
        field: 'input.namePrefix',
        data: { hosts: fresh.length, maximum: MAX_HOSTS_AT_ONCE },
      });
    }
    return fresh.map((observed) => ({ observed, ...common }));
  }
  const chosen = input.hosts.map((host, index) => {
    const field = `input.hosts.${index}`;
    const observed = inventory.get(host.name);
    if (observed === undefined) throw invalidInput(`${field}.name`, `The backend has no host "${host.name}"; name one of its own.`);
    if (known.has(host.name)) {
      throw new MuonError('ALREADY_EXISTS', `The host "${host.name}" is registered already.`, { field: `${field}.name` });
    }
    known.add(host.name);
    if (host.rackId !== undefined) racks.push({ id: host.rackId, field: `${field}.rackId` });
    return { observed, rackId: host.rackId ?? common.rackId, labels: host.labels ?? common.labels };
  });
  await requireActiveRacks(reader, zone.id, racks);
  return chosen;
}

function planHosts(
  input: RegisterHosts,
  { zone, backend }: { zone: ZoneRow; backend: BackendRow },
  chosen: readonly Chosen[],
  knownPools: ReadonlySet<string>,
): ChangeSet {
  const changes = new ChangeSet();
  const datastores: Record<string, unknown>[] = [];
  const shared = new Set(knownPools);
  const now = new Date().toISOString();
  const ids: string[] = [];
  for (const { observed, rackId, labels } of chosen) {
    const id = hostId.create();
    ids.push(id);
    changes.add(ROWS, {
      table: 'host',
      insert: {
        id,
        backend_id: input.backendId,
        zone_id: zone.id,
        rack_id: rackId,
        name: observed.hostName,
        cpu_overcommit: input.cpuOvercommit,
        memory_overcommit: input.memoryOvercommit,
        labels,
        cpu: observed.cpu,
        memory_mib: observed.memoryMib,
        traits: observed.traits,
        health: observed.alive ? 'UP' : 'DOWN',
        health_reason: observed.alive ? null : 'Its backend reported it as not alive when it was registered.',
      },
    });
    changes.add(ROWS, { table: 'host_heartbeat', insert: { host_id: id, last_seen_at: observed.alive ? now : null, beats: observed.alive ? 1 : 0 } });
    for (const pool of observed.pools) {
      if (pool.shared && shared.has(pool.name)) continue;
      if (pool.shared) shared.add(pool.name);
      datastores.push({
        id: datastoreId.create(),
        backend_id: input.backendId,
        zone_id: pool.shared ? null : zone.id,
        host_id: pool.shared ? null : id,
        name: pool.name,
        kind: input.datastoreKind,
        capacity_gib: pool.capacityGib,
        limits_iops: backend.capabilities.iopsLimit ?? false,
        ...guaranteeColumns(pool.shared ? NO_GUARANTEES : input.localGuarantees, { host_id: id, zone_id: zone.id }, 'input.localGuarantees'),
      });
    }
    if (ids.length <= MAX_LISTED) changes.resources.push({ action: 'CREATE', kind: 'host', id, name: observed.hostName });
  }
  changes.add(ROWS, ...datastores.map((insert) => ({ table: 'datastore', insert })));
  const counts = { hosts: ids.length, datastores: datastores.length };
  changes.reasons.push({
    subject: zone.name,
    message: `${ids.length} hosts and ${datastores.length} datastores would be registered${ids.length > MAX_LISTED ? `; the first ${MAX_LISTED} hosts are listed` : ''}.`,
    data: counts,
  });
  changes.result = { id: input.backendId, ...counts, hostIds: ids.slice(0, MAX_LISTED) };
  return changes;
}
