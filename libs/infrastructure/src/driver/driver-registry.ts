import { assert, MuonError, notFound, toMuonError, withTimeout, type Logger } from '#core';
import { refuseInsideTransaction, type Database, type Reader } from '#database';
import type { Capabilities, Driver, DriverCall, DriverFactory } from '#drivers';
import type { SecretService } from '#secrets';
import type { BackendRow } from '../backend/backend.js';
import { findBackends } from '../backend/backend.sql.js';
import { installationId } from '../installation/installation.js';
import { CallLimiter } from './call-limiter.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { guardDriver } from './guarded-driver.js';

interface Connection {
  readonly version: number;
  readonly driver: Driver;
  readonly raw: Driver;
  readonly limiter: CallLimiter;
  /** When the row was last looked at for a newer version. */
  checkedAt: number;
}

export interface DriverRegistryOptions {
  /** How long a changed backend row may go unnoticed by a process. */
  recheckMs?: number;
}

const DEFAULT_RECHECK_MS = 2000;
const PROBE_TIMEOUT_MS = 5000;

/** Opens one connection to each backend that this process speaks to, and stands guard before it. */
export class DriverRegistry {
  private readonly factories = new Map<string, DriverFactory>();
  private readonly connections = new Map<string, Connection>();
  private readonly opening = new Map<string, Promise<Connection>>();
  private readonly recheckMs: number;
  private installation: string | undefined;
  /** Replaced, and not closed yet. */
  private readonly retired = new Set<Driver>();
  private closed = false;

  constructor(
    private readonly database: Database,
    private readonly secrets: SecretService,
    private readonly log: Logger,
    options: DriverRegistryOptions = {},
  ) {
    this.recheckMs = options.recheckMs ?? DEFAULT_RECHECK_MS;
  }

  /** The app that is composed names its drivers here. */
  register(factory: DriverFactory): this {
    assert(!this.factories.has(factory.kind), `drivers of kind "${factory.kind}" are registered twice`);
    this.factories.set(factory.kind, factory);
    return this;
  }

  get kinds(): string[] {
    return [...this.factories.keys()].sort();
  }

  /** @throws UNSUPPORTED naming the kinds that there are. */
  factory(kind: string, field?: string): DriverFactory {
    const found = this.factories.get(kind);
    if (found !== undefined) return found;
    throw new MuonError('UNSUPPORTED', `There is no driver of kind "${kind.slice(0, 100)}"; there is: ${this.kinds.join(', ')}.`, {
      data: { kinds: this.kinds },
      ...(field === undefined ? {} : { field }),
    });
  }

  /**
   * The driver of a backend, opened at its first use and shared by all callers of the process. Every call through it is
   * bounded in time and number, and refused at once while the backend does not answer.
   * @throws NOT_FOUND, UNSUPPORTED, UNAVAILABLE when it cannot be opened
   */
  async driver(backendId: string): Promise<Driver> {
    refuseInsideTransaction('DriverRegistry.driver');
    const known = this.connections.get(backendId);
    if (known !== undefined && performance.now() - known.checkedAt < this.recheckMs) return known.driver;
    let opening = this.opening.get(backendId);
    if (opening === undefined) {
      opening = this.refresh(backendId).finally(() => this.opening.delete(backendId));
      this.opening.set(backendId, opening);
    }
    return (await opening).driver;
  }

  /**
   * For plans: reads what the backend declared when it was last opened, and calls nobody.
   * @throws UNSUPPORTED naming backend and capability
   */
  async requireCapability(reader: Reader, backendId: string, capability: keyof Capabilities, field?: string): Promise<void> {
    const [backend] = await reader.rows(findBackends, [backendId]);
    if (backend === undefined) throw notFound('backend', backendId, field);
    if (backend.capabilities[capability] === true) return;
    throw new MuonError('UNSUPPORTED', `The backend "${backend.name}" cannot do this (${capability}).`, {
      data: { backend: backendId, capability },
      ...(field === undefined ? {} : { field }),
    });
  }

  /**
   * Opens a connection that is not kept, to try what an operator has entered.
   * @throws what the driver says of endpoint, options or secret
   */
  async tryConnection<T>(
    backend: Pick<BackendRow, 'id' | 'name' | 'kind' | 'endpoint' | 'options' | 'call_timeout_ms'>,
    secret: string | null,
    work: (driver: Driver, call: DriverCall) => Promise<T>,
  ): Promise<T> {
    refuseInsideTransaction('DriverRegistry.tryConnection');
    const raw = await this.connect(backend, secret);
    try {
      return await withTimeout(`"${backend.name}"`, backend.call_timeout_ms, (signal) =>
        work(raw, { idempotencyKey: `try/${backend.id}`, timeoutMs: backend.call_timeout_ms, signal }),
      );
    } finally {
      this.closeRaw(backend.id, raw);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.opening.values());
    const drivers = [...this.retired, ...[...this.connections.values()].map((connection) => connection.raw)];
    this.connections.clear();
    this.retired.clear();
    await Promise.allSettled(drivers.map((driver) => driver.close()));
  }

  private async refresh(backendId: string): Promise<Connection> {
    const known = this.connections.get(backendId);
    const [backend] = await this.database.rows(findBackends, [backendId]);
    if (backend === undefined) {
      this.drop(backendId);
      throw notFound('backend', backendId);
    }
    if (known?.version === backend.version) {
      known.checkedAt = performance.now();
      return known;
    }
    const secret =
      backend.secret_ref === null ? null : (await this.secrets.open(this.database, backend.secret_ref, backend.id)).revealText();
    const raw = await this.connect(backend, secret);
    const connection = this.guard(backend, raw);
    if (this.closed) {
      this.closeRaw(backendId, raw);
      throw new MuonError('UNAVAILABLE', 'This process is shutting down; try again.');
    }
    this.drop(backendId);
    this.connections.set(backendId, connection);
    return connection;
  }

  private guard(backend: BackendRow, raw: Driver): Connection {
    const probe = (): Promise<void> => probeBackend(raw, backend);
    const limiter = new CallLimiter(backend.id, backend.max_concurrent_calls);
    const driver = guardDriver(raw, {
      backendName: backend.name,
      limiter,
      breaker: new CircuitBreaker(backend, probe),
    });
    return { version: backend.version, driver, raw, limiter, checkedAt: performance.now() };
  }

  private async connect(
    backend: Pick<BackendRow, 'id' | 'name' | 'kind' | 'endpoint' | 'options' | 'call_timeout_ms'>,
    secret: string | null,
  ): Promise<Driver> {
    const factory = this.factory(backend.kind);
    this.installation ??= await installationId(this.database);
    const connection = {
      backendId: backend.id,
      installationId: this.installation,
      endpoint: backend.endpoint,
      secret,
      options: backend.options,
    };
    const opening = factory.connect(connection);
    try {
      return await withTimeout(`"${backend.name}"`, backend.call_timeout_ms, () => opening);
    } catch (error) {
      // One that opens all the same is nobody's.
      void opening.then((raw) => this.closeRaw(backend.id, raw), () => undefined);
      const failure = toMuonError(error);
      this.log.warn({ err: failure, backend: backend.id }, 'a backend could not be opened');
      throw failure;
    }
  }

  /** Calls that are under way on it end first. */
  private drop(backendId: string): void {
    const known = this.connections.get(backendId);
    this.connections.delete(backendId);
    if (known === undefined) return;
    this.retired.add(known.raw);
    void known.limiter.untilIdle().then(() => {
      if (this.retired.delete(known.raw)) this.closeRaw(backendId, known.raw);
    });
  }

  private closeRaw(backendId: string, raw: Driver): void {
    raw.close().catch((error: unknown) => {
      this.log.warn({ err: toMuonError(error), backend: backendId }, 'a connection to a backend did not close well');
    });
  }
}

/** The lightest question that shows whether the backend answers at all. */
async function probeBackend(raw: Driver, backend: BackendRow): Promise<void> {
  const timeoutMs = Math.min(PROBE_TIMEOUT_MS, backend.call_timeout_ms);
  await withTimeout(`"${backend.name}"`, timeoutMs, async (signal) => {
    const call: DriverCall = { idempotencyKey: `probe/${backend.id}`, timeoutMs, signal };
    if (raw.capabilities.compute) await raw.compute.listMachines(call, null, 1);
    else if (raw.capabilities.storage) await raw.storage.listDisks(call, null, 1);
    else await raw.network.listParts(call, null, 1);
  });
}
