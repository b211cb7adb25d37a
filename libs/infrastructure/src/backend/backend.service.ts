import { z } from 'zod';
import { MuonError, nameSchema, notFound, parseInput, type JsonObject } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Database, type Reader } from '#database';
import type { Capabilities } from '#drivers';
import { Action, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult, type CommandRunner } from '#identity';
import { sealedSecretRow, type SealedSecret, type SecretService } from '#secrets';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { planRemoval } from '../usage/removal.js';
import type { InfrastructureUsage } from '../usage/usage.js';
import { usesOfBackend } from '../usage/usage.sql.js';
import { backendId, type BackendRow } from './backend.js';
import { findBackends } from './backend.sql.js';
import { withoutSecrets } from './redaction.js';

constraintMeans('backend_name', () => new MuonError('ALREADY_EXISTS', 'A backend of this name exists already.', { field: 'input.name' }));
/** For whoever stands on backends: by a foreign key, the last word against a removal that comes at the same time. */
export const backendGone = (): MuonError =>
  new MuonError('CONFLICT', 'The backend was deleted, or came into use, at the same time; read it again.', { data: { fact: 'backend' } });
for (const constraint of ['host_backend', 'datastore_backend']) constraintMeans(constraint, backendGone);

const MAX_OPTIONS_LENGTH = 16_384;
const optionsSchema = z
  .record(z.string().max(100), z.json())
  .refine((value) => JSON.stringify(value).length <= MAX_OPTIONS_LENGTH, `Options have at most ${MAX_OPTIONS_LENGTH} characters.`);
const limits = {
  maxConcurrentCalls: z.int().min(1).max(1000),
  callTimeoutMs: z.int().min(100).max(600_000),
};
/** Operators see endpoints and the log names them: a password belongs into `secret`, which is kept encrypted. */
const endpointSchema = z
  .string()
  .min(1)
  .max(2000)
  .refine((text) => !URL.canParse(text) || new URL(text).password === '', 'Leave the password out of the endpoint and give it as the secret.');
const createSchema = z.strictObject({
  name: nameSchema,
  kind: z.string().min(1).max(63),
  endpoint: endpointSchema,
  secret: z.string().min(1).max(65_536).optional(),
  options: optionsSchema.default({}),
  maxConcurrentCalls: limits.maxConcurrentCalls.default(16),
  callTimeoutMs: limits.callTimeoutMs.default(10_000),
});
const updateSchema = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  endpoint: endpointSchema.optional(),
  /** Null takes it away. */
  secret: z.string().min(1).max(65_536).nullable().optional(),
  options: optionsSchema.optional(),
  maxConcurrentCalls: limits.maxConcurrentCalls.optional(),
  callTimeoutMs: limits.callTimeoutMs.optional(),
});
export type CreateBackendInput = z.input<typeof createSchema>;
export type UpdateBackendInput = z.input<typeof updateSchema>;

type Tried = Pick<BackendRow, 'id' | 'name' | 'kind' | 'endpoint' | 'options' | 'call_timeout_ms'>;

interface Prepared {
  capabilities: Capabilities;
  sealed: SealedSecret | undefined;
}

/** Backends: what is entered is tried before it is kept, so a wrong address or secret is refused at once. */
export class BackendService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly drivers: DriverRegistry,
    private readonly secrets: SecretService,
    private readonly usage: InfrastructureUsage,
  ) {}

  /** @throws UNSUPPORTED for an unknown kind; UNAVAILABLE, INVALID_INPUT when the backend does not answer to it */
  async create(access: Access, raw: CreateBackendInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSchema, raw);
    const id = backendId.create();
    const { name, kind, endpoint, secret } = input;
    const row = { id, name, kind, endpoint, options: input.options as JsonObject, call_timeout_ms: input.callTimeoutMs };
    const prepare = async (): Promise<Prepared> => {
      access.requireSystem(Action.CREATE_CHILD, 'backend');
      this.drivers.factory(kind, 'input.kind');
      const capabilities = await this.tried(row, secret ?? null);
      return { capabilities, sealed: secret === undefined ? undefined : await this.seal(id, secret) };
    };
    const plan = async (_reader: Reader, { capabilities, sealed }: Prepared): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'backend');
      const changes = new ChangeSet();
      if (sealed !== undefined) changes.add(ROWS, sealedSecretRow(sealed));
      changes.add(ROWS, {
        table: 'backend',
        insert: {
          ...row,
          secret_ref: sealed?.id ?? null,
          max_concurrent_calls: input.maxConcurrentCalls,
          capabilities,
          health: 'UP',
        },
      });
      changes.resources.push({ action: 'CREATE', kind: 'backend', id, name });
      changes.result = { id };
      return changes;
    };
    return this.commands.runPrepared({ access, name: 'createBackend', ...withoutSecrets(input as JsonObject), place: SYSTEM_PLACE, ...options }, prepare, plan);
  }

  async update(access: Access, raw: UpdateBackendInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateSchema, raw);
    const prepare = async (): Promise<Prepared & { known: BackendRow; merged: BackendRow }> => {
      access.requireSystem(Action.MODIFY, 'backend');
      const known = await requireBackend(this.database, input.id, 'input.id');
      const merged = {
        ...known,
        endpoint: input.endpoint ?? known.endpoint,
        options: (input.options as JsonObject | undefined) ?? known.options,
        call_timeout_ms: input.callTimeoutMs ?? known.call_timeout_ms,
      };
      const secret = input.secret === undefined ? await this.openedSecret(known) : input.secret;
      const capabilities = await this.tried(merged, secret);
      return { known, merged, capabilities, sealed: typeof input.secret === 'string' ? await this.seal(known.id, input.secret) : undefined };
    };
    const plan = async (reader: Reader, { known, merged, capabilities, sealed }: Awaited<ReturnType<typeof prepare>>): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'backend');
      const row = await requireBackend(reader, input.id, 'input.id');
      const version = input.expectedVersion ?? known.version;
      if (version !== row.version) throw versionConflict('backend', { id: row.id, version });
      const changes = new ChangeSet();
      if (sealed !== undefined) changes.add(ROWS, sealedSecretRow(sealed));
      const update = {
        endpoint: merged.endpoint,
        options: merged.options,
        call_timeout_ms: merged.call_timeout_ms,
        max_concurrent_calls: input.maxConcurrentCalls ?? row.max_concurrent_calls,
        secret_ref: input.secret === undefined ? row.secret_ref : (sealed?.id ?? null),
        capabilities,
      };
      changes.add(ROWS, { table: 'backend', update, id: row.id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'backend', id: row.id, name: row.name });
      changes.result = { id: row.id };
      return changes;
    };
    return this.commands.runPrepared({ access, name: 'updateBackend', ...withoutSecrets(input as JsonObject), place: SYSTEM_PLACE, ...options }, prepare, plan);
  }

  /** In use, it takes nothing new and goes with the last of what is on it. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'backend');
      const row = await requireBackend(reader, id, 'input.id');
      const uses = [...(await reader.rows(usesOfBackend, id)), ...(await this.usage.of(reader, 'backend', id))];
      return planRemoval('backend', row, uses);
    };
    return this.commands.run({ access, name: 'deleteBackend', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }

  private async openedSecret(row: BackendRow): Promise<string | null> {
    return row.secret_ref === null ? null : (await this.secrets.open(this.database, row.secret_ref, row.id)).revealText();
  }

  private async seal(ownerId: string, value: string): Promise<SealedSecret> {
    return this.secrets.seal({ ownerId, tenantId: null, projectId: null, purpose: 'backend.credential', value });
  }

  private async tried(backend: Tried, secret: string | null): Promise<Capabilities> {
    try {
      return await this.drivers.tryConnection(backend, secret, async (driver, call) => {
        if (driver.capabilities.compute) await driver.hosts.listHosts(call);
        return driver.capabilities;
      });
    } catch (error) {
      throw inputOfDriver(error);
    }
  }
}

/** A driver names its own fields, as `endpoint` or `options.delayMs`; here they are parts of the input. */
function inputOfDriver(error: unknown): unknown {
  if (!(error instanceof MuonError) || error.code !== 'INVALID_INPUT' || error.field === undefined) return error;
  const field = error.field.startsWith('input.') ? error.field : `input.${error.field}`;
  return MuonError.fromRecord({ ...error.toRecord(), field });
}

async function requireBackend(reader: Reader, id: string, field: string): Promise<BackendRow> {
  const [row] = await reader.rows(findBackends, [id]);
  if (row === undefined) throw notFound('backend', id, field);
  return row;
}

/** One that takes newcomers. @throws NOT_FOUND, INVALID_STATE */
export async function requireActiveBackend(reader: Reader, id: string, field: string): Promise<BackendRow> {
  const row = await requireBackend(reader, id, field);
  if (row.state === 'ACTIVE') return row;
  throw new MuonError('INVALID_STATE', `The backend "${row.name}" is being withdrawn and takes nothing new.`, { field });
}
