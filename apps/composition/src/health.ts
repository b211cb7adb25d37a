import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { countMachineDrift } from '#compute';
import { toMuonError } from '#core';
import { pendingMigrations } from '#database';
import { countHostsBehind } from '#infrastructure';
import { OperationQueries } from '#operations';
import { auditCounters } from '#quota';
import type { House } from './house.js';

export interface Answer {
  status: number;
  contentType: string;
  body: string;
}

const JSON_TYPE = 'application/json; charset=utf-8';
/** Scrapes closer together than this share one reading of the database. */
const READING_KEPT_MS = 5000;

/** Liveness, readiness and Prometheus metrics of one process. */
export class Health {
  readonly requestSeconds: Histogram<'status'>;
  private readonly metrics = new Registry();
  /** What is read off the database; left out while that fails, so that no old number and no 0 passes for the truth. */
  private readonly databaseMetrics = new Registry();
  private readonly databaseUp: Gauge;
  private readonly queries = new OperationQueries();
  private readonly operations: Gauge<'kind' | 'state'>;
  private readonly queueAge: Gauge;
  private readonly stuck: Gauge;
  private readonly unserved: Gauge<'handler'>;
  private readonly drift: Gauge;
  private readonly machineDrift: Gauge<'code'>;
  private readonly hostsBehind: Gauge;
  private readAt = Number.NEGATIVE_INFINITY;
  private draining = false;

  constructor(private readonly house: Pick<House, 'database' | 'registry' | 'log'>) {
    const registers = [this.databaseMetrics];
    collectDefaultMetrics({ register: this.metrics });
    this.requestSeconds = new Histogram({
      name: 'muon_http_request_duration_seconds',
      help: 'Time from a request to its answer.',
      labelNames: ['status'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [this.metrics],
    });
    this.databaseUp = new Gauge({
      name: 'muon_database_up',
      help: '1 when the database could be read for the metrics below; with 0 they are left out.',
      registers: [this.metrics],
    });
    this.operations = new Gauge({
      name: 'muon_operations',
      help: 'Unfinished operations by kind and state.',
      labelNames: ['kind', 'state'],
      registers,
    });
    this.queueAge = new Gauge({
      name: 'muon_operation_queue_age_seconds',
      help: 'How long the oldest operation that could run has had no worker.',
      registers,
    });
    this.stuck = new Gauge({ name: 'muon_operations_stuck', help: 'Operations that wait for an operator.', registers });
    this.unserved = new Gauge({
      name: 'muon_operations_unserved',
      help: 'Unfinished operations whose kind and version this program cannot run.',
      labelNames: ['handler'],
      registers,
    });
    this.drift = new Gauge({
      name: 'muon_quota_drifted_counters',
      help: 'Quota counters that differ from the sum of their charges; always 0 unless something is wrong.',
      registers,
    });
    this.machineDrift = new Gauge({
      name: 'muon_machines_drifted',
      help: 'Machines that their backend does not have, or has elsewhere.',
      labelNames: ['code'],
      registers,
    });
    this.hostsBehind = new Gauge({
      name: 'muon_hosts_network_behind',
      help: 'Hosts that may lack what their network was told while they were away.',
      registers,
    });
  }

  /** From now on the process is not ready, so that balancers send nothing new. */
  startDraining(): void {
    this.draining = true;
  }

  async answer(path: string): Promise<Answer | undefined> {
    if (path === '/livez') return { status: 200, contentType: JSON_TYPE, body: '{"status":"alive"}' };
    if (path === '/readyz') return this.readiness();
    if (path === '/metrics') return this.scrape();
    return undefined;
  }

  private async readiness(): Promise<Answer> {
    const refuse = (reason: string): Answer => ({ status: 503, contentType: JSON_TYPE, body: JSON.stringify({ status: 'not ready', reason }) });
    if (this.draining) return refuse('shutting down');
    try {
      if (await pendingMigrations(this.house.database)) return refuse('the database is behind this program: run migrate');
      return { status: 200, contentType: JSON_TYPE, body: '{"status":"ready"}' };
    } catch (error) {
      return refuse(toMuonError(error).message);
    }
  }

  private async scrape(): Promise<Answer> {
    const isUp = await this.isRead();
    this.databaseUp.set(isUp ? 1 : 0);
    const registry = isUp ? Registry.merge([this.metrics, this.databaseMetrics]) : this.metrics;
    return { status: 200, contentType: registry.contentType, body: await registry.metrics() };
  }

  private async isRead(): Promise<boolean> {
    if (performance.now() - this.readAt < READING_KEPT_MS) return true;
    try {
      await this.read();
      this.readAt = performance.now();
      return true;
    } catch (error) {
      this.house.log.warn({ err: error }, 'metrics of the database could not be read');
      return false;
    }
  }

  private async read(): Promise<void> {
    const { database, registry } = this.house;
    const [read, audit, drifted, behind] = await Promise.all([
      this.queries.metrics(database, registry),
      auditCounters(database),
      database.rows(countMachineDrift),
      database.first(countHostsBehind),
    ]);
    this.operations.reset();
    for (const row of read.byKindAndState) this.operations.set({ kind: row.kind, state: row.state }, row.count);
    this.queueAge.set(read.queueAgeSeconds);
    this.stuck.set(read.stuck);
    this.unserved.reset();
    for (const row of read.unserved) this.unserved.set({ handler: row.handler }, row.count);
    this.drift.set(audit.drift.length);
    this.hostsBehind.set(behind?.hosts ?? 0);
    this.machineDrift.reset();
    for (const row of drifted) this.machineDrift.set({ code: row.code }, row.count);
  }
}
