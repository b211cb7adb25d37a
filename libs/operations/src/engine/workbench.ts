import { setTimeout as delay } from 'node:timers/promises';
import { createLogger, type Logger, type ErrorRecord, type JsonObject, type JsonValue } from '#core';
import { ChangeSet, ChangeSetApplier, statement, type Database } from '#database';
import type { OperationKind } from '../kind/operation-kind.js';
import { OperationRegistry } from '../kind/operation-registry.js';
import { registerOperationSections } from '../operation/apply-sections.js';
import { operationId, type Blocker, type NotRestored, type OperationState } from '../operation/operation.js';
import { lockResources, OPERATIONS, succeedResources, type NewOperation } from '../operation/operation-sections.js';
import { OperationService } from '../operation/operation.service.js';
import { silentBell, type Bell } from '../queue/bell.js';
import { OperationEngine, type EngineOptions } from './operation-engine.js';

/** What specs need around the engine; it holds no assertions. */

export interface SeenOperation {
  id: string;
  kind: string;
  state: OperationState;
  attempt: number;
  step_index: number;
  direction: string;
  pivot_passed: boolean;
  pending_children: number;
  fence: number;
  lease_owner: string | null;
  blocker: Blocker | null;
  error: ErrorRecord | null;
  not_restored: NotRestored[];
  abandonment: JsonObject | null;
  parent_id: string | null;
  resource_id: string;
  compensates_id: string | null;
  started_at: Date | null;
  ended_at: Date | null;
}

export interface SeenStep {
  attempt: number;
  name: string;
  state: string;
  tries: number;
  output: JsonValue;
  error: ErrorRecord | null;
}

const seeOperations = statement<SeenOperation, [ids: string[]]>(
  'workbench.operations',
  'SELECT * FROM operation WHERE id = ANY ($1) OR parent_id = ANY ($1) ORDER BY id',
);
const seeSteps = statement<SeenStep, [id: string]>(
  'workbench.steps',
  'SELECT attempt, name, state, tries, output, error FROM operation_step WHERE operation_id = $1 ORDER BY attempt, index',
);
const seeLocks = statement<{ resource_id: string; operation_id: string; successor_operation_id: string | null }>(
  'workbench.locks',
  'SELECT resource_id, operation_id, successor_operation_id FROM resource_lock ORDER BY resource_id',
);

export interface Submission extends Partial<NewOperation> {
  locks?: string[];
  succeeds?: string[];
}

/** A worker's log from errors upwards, and the lines that it has written. */
export function alarmLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return { log: createLogger('worker', 'error', { write: (line) => void lines.push(line) }), lines };
}

/** How long anything may take before a spec gives up on it. */
const PATIENCE_MS = 15_000;

export class Workbench {
  readonly registry = new OperationRegistry();
  readonly applier = new ChangeSetApplier();
  readonly service: OperationService;
  private readonly engines: OperationEngine[] = [];

  constructor(
    readonly database: Database,
    kinds: readonly OperationKind<unknown>[],
    readonly bell: Bell = silentBell,
  ) {
    this.registry.register(...kinds);
    registerOperationSections(this.applier, { registry: this.registry, bell });
    this.service = new OperationService(database, this.applier, this.registry, bell);
  }

  /** Another worker, with short times. */
  engine(options: Partial<EngineOptions> = {}): OperationEngine {
    const engine = new OperationEngine({
      database: this.database,
      registry: this.registry,
      applier: this.applier,
      bell: this.bell,
      log: createLogger('worker', (process.env.MUON_TEST_LOG ?? 'silent') as 'silent'),
      leaseMs: 1000,
      sweepEveryMs: 50,
      retry: { baseMs: 10, maxMs: 50 },
      ...options,
    });
    this.engines.push(engine);
    engine.start();
    return engine;
  }

  async close(): Promise<void> {
    await Promise.all(this.engines.splice(0).map((engine) => engine.drain(100)));
  }

  async submit(kind: string, input: JsonObject = {}, more: Submission = {}): Promise<string> {
    const { locks, succeeds, ...fields } = more;
    const id = fields.id ?? operationId.create();
    const changes = new ChangeSet();
    const resourceId = fields.resourceId ?? `thing-${id}`;
    if (locks !== undefined) lockResources(changes, id, locks);
    if (succeeds !== undefined) succeedResources(changes, id, succeeds);
    changes.add(OPERATIONS, { kind, resourceKind: 'thing', tenantId: 'ten_a', projectId: null, input, ...fields, id, resourceId });
    await this.apply(changes);
    return id;
  }

  async apply(changes: ChangeSet): Promise<void> {
    await this.database.transaction((transaction) =>
      this.applier.apply(transaction, changes, { principalId: 'pri_tester', requestId: 'request' }),
    );
  }

  async see(id: string): Promise<SeenOperation> {
    const row = (await this.family(id)).find((each) => each.id === id);
    if (row === undefined) throw new Error(`there is no operation ${id}`);
    return row;
  }

  /** Its children, oldest first. */
  async children(id: string): Promise<SeenOperation[]> {
    return (await this.family(id)).filter((each) => each.parent_id === id);
  }

  async steps(id: string): Promise<SeenStep[]> {
    return this.database.rows(seeSteps, id);
  }

  /** `name STATE` of each step of the last attempt. */
  async stepStates(id: string): Promise<string[]> {
    const steps = await this.steps(id);
    const last = Math.max(...steps.map((step) => step.attempt));
    return steps.filter((step) => step.attempt === last).map((step) => `${step.name} ${step.state}`);
  }

  async locks(): Promise<{ resource_id: string; operation_id: string; successor_operation_id: string | null }[]> {
    return this.database.rows(seeLocks);
  }

  async until(id: string, condition: (row: SeenOperation) => boolean, what: string): Promise<SeenOperation> {
    let row = await this.see(id);
    for (const end = Date.now() + PATIENCE_MS; !condition(row); row = await this.see(id)) {
      if (Date.now() > end) throw new Error(`${id} did not come to ${what}: ${JSON.stringify(row)} ${JSON.stringify(await this.steps(id))}`);
      await delay(5);
    }
    return row;
  }

  async untilState(id: string, ...states: OperationState[]): Promise<SeenOperation> {
    return this.until(id, (row) => states.includes(row.state), states.join(' or '));
  }

  private async family(id: string): Promise<SeenOperation[]> {
    return this.database.rows(seeOperations, [id]);
  }
}

/** Waits for a condition of the spec's own. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`it never came true: ${what}`);
    await delay(5);
  }
}

/** A point in a step where the spec can hold it. */
export class Gate {
  private readonly reached = Promise.withResolvers<void>();
  private readonly opened = Promise.withResolvers<void>();
  readonly arrival = this.reached.promise;

  async pass(signal?: AbortSignal): Promise<void> {
    this.reached.resolve();
    if (signal === undefined) return this.opened.promise;
    const aborted = new Promise<void>((_resolve, reject) => {
      const stop = (): void => reject(new Error('aborted'));
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop, { once: true });
    });
    await Promise.race([this.opened.promise, aborted]);
  }

  open(): void {
    this.opened.resolve();
  }
}
