import { MuonError, toMuonError } from '#core';
import type { Database, Reader } from '#database';
import { machineState } from '#compute';
import { defineReconciler, findHoldingOperations, findOperations, type Reconciler, type ReconcilerContext } from '#operations';
import { conditionsNow } from '../cluster/cluster-ends.js';
import { planHealing } from '../cluster/cluster-heal-plan.js';
import { CLUSTER_HEAL } from '../cluster/cluster-heal.operation.js';
import { setClusterConditions } from '../cluster/cluster.sql.js';
import { readClusterFacts, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import { setNodeHealth } from '../node/cluster-node.sql.js';
import type { PlanningTools } from '../node/node-plan.js';
import type { ConditionNow } from './conditions.js';
import { checkGuest, type GuestCheckOptions } from './guest-check.js';
import { decideHealing, DEFAULT_HEALING_LIMITS, waitsFor, type HealingFacts, type HealingLimits, type HealingTarget, type Holder } from './healing.js';
import { DEFAULT_THRESHOLDS, foldSighting, isWorthAsking, sightingOf, type Ground, type HealthThresholds, type Suspects } from './observation.js';
import { noteRefusal, readClock, setSuspects, takeTurn, type ObservationRow } from './observation.sql.js';

export const CLUSTER_HEALTH = 'cluster-health';

export interface ClusterHealthOptions {
  /** How often a run looks for clusters whose turn it is. */
  everyMs?: number;
  /** How often each cluster is looked at. */
  observeEveryMs?: number;
  /** How often a node that is well is asked in its guest; one that is not is asked at every look. */
  askEveryMs?: number;
  thresholds?: Partial<HealthThresholds>;
  limits?: Partial<HealingLimits>;
  /** How long one readiness check may take. */
  patienceMs?: number;
}

const BATCH = 20;
const MAX_BATCHES = 500;
/** Checks of one batch that are on their way at once. */
const PARALLEL_CHECKS = 40;
const CALL_TIMEOUT_MS = 5000;

/** Looks at every cluster's nodes, says what it saw when it has held for long enough, and heals one node at a time. */
export function clusterHealth(database: Database, tools: PlanningTools, options: ClusterHealthOptions = {}): Reconciler {
  const { everyMs = 5000, observeEveryMs = 20_000, askEveryMs = 20_000, patienceMs = 10_000 } = options;
  const look = new ClusterLook(database, tools, {
    observeEveryMs,
    askEveryMs,
    patienceMs,
    thresholds: { ...DEFAULT_THRESHOLDS, ...options.thresholds },
    limits: { ...DEFAULT_HEALING_LIMITS, ...options.limits },
  });
  return defineReconciler({ name: CLUSTER_HEALTH, everyMs, timeoutMs: 120_000, run: (context) => look.run(context) });
}

interface LookOptions {
  observeEveryMs: number;
  askEveryMs: number;
  patienceMs: number;
  thresholds: HealthThresholds;
  limits: HealingLimits;
}

/** More clusters than a process looks at between two askings; beyond it they are only asked more often. */
const MAX_REMEMBERED = 20_000;

class ClusterLook {
  /** When the guests of a cluster were last asked, by `performance.now()`. */
  private readonly asked = new Map<string, number>();

  constructor(
    private readonly database: Database,
    private readonly tools: PlanningTools,
    private readonly options: LookOptions,
  ) {}

  async run(context: ReconcilerContext): Promise<void> {
    const began = (await this.database.first(readClock))?.now ?? new Date();
    for (let batch = 0; batch < MAX_BATCHES && !context.signal.aborted; batch += 1) {
      const turn = await this.database.rows(takeTurn, BATCH, this.options.observeEveryMs, began);
      if (turn.length === 0) return;
      const observations = new Map(turn.map((row) => [row.cluster_id, row]));
      const holders = await readHolders(context.reader, [...observations.keys()]);
      const clusters = await readClusterFacts(context.reader, [...observations.keys()]);
      const queue = new CheckQueue(PARALLEL_CHECKS);
      await Promise.all(
        clusters.map(async (facts) => {
          const observation = observations.get(facts.row.id);
          if (observation === undefined) return;
          try {
            await this.lookAt(context, facts, { observation, holder: holders.get(facts.row.id) ?? null }, queue);
          } catch (error) {
            // One cluster must not keep the others from being looked at.
            const { code, message, detail } = toMuonError(error);
            context.log.warn({ clusterId: facts.row.id, code, reason: message, detail }, 'a cluster could not be looked at');
          }
        }),
      );
    }
  }

  private async lookAt(context: ReconcilerContext, facts: ClusterFacts, known: Known, queue: CheckQueue): Promise<void> {
    if (facts.row.lifecycle !== 'PRESENT') return;
    const { changed, suspects } = await this.observe(context, facts, known.observation, queue);
    if (context.signal.aborted) return;
    const { target, condition } = decideHealing(healingFacts(facts, known), this.options.limits);
    const healable = target === null ? condition : await this.heal(context, facts, known.observation);
    await this.write(facts, changed, suspects, healable);
  }

  /** Takes what is seen over into the facts at hand, and returns what is to be written of it. */
  private async observe(context: ReconcilerContext, facts: ClusterFacts, observation: ObservationRow, queue: CheckQueue) {
    const { log, signal } = context;
    const { patienceMs, observeEveryMs, thresholds } = this.options;
    const check: GuestCheckOptions = { drivers: this.tools.drivers, log, patienceMs, callTimeoutMs: CALL_TIMEOUT_MS };
    const round = String(Math.floor(Date.now() / Math.max(1, observeEveryMs)));
    const members = facts.nodes.filter((node) => node.row.phase === 'JOINED');
    const changed: { id: string; health: string; reason: string; since: string; revision: number }[] = [];
    const suspects: Suspects = {};
    const asksAll = this.isTimeToAsk(facts.row.id);
    await Promise.all(
      members.map(async (node) => {
        const ground = groundOf(node);
        const { row } = node;
        const isSuspect = row.health !== 'READY' || observation.suspects[row.id] !== undefined;
        const asks = isWorthAsking(ground) && (asksAll || isSuspect);
        // What a check of this round has found before it was made or moved, is none of it any more.
        const look = row.health === 'UNKNOWN' ? `${round}-${row.health_since.getTime()}` : round;
        const answer = asks ? await queue.run(() => checkGuest(check, facts, node, look, signal)) : undefined;
        const before = { health: row.health, reason: row.health_reason, since: row.health_since };
        const folded = foldSighting(before, observation.suspects[row.id], sightingOf(ground, answer), thresholds, new Date());
        if (folded.suspect !== undefined) suspects[row.id] = folded.suspect;
        const { health, reason, since } = folded.believed;
        if (health === row.health && reason === row.health_reason) return;
        changed.push({ id: row.id, health, reason, since: since.toISOString(), revision: row.revision });
        Object.assign(row, { health, health_reason: reason, health_since: since });
      }),
    );
    return { changed, suspects };
  }

  private isTimeToAsk(clusterId: string): boolean {
    const now = performance.now();
    const last = this.asked.get(clusterId);
    if (last !== undefined && now - last < this.options.askEveryMs) return false;
    if (this.asked.size >= MAX_REMEMBERED) this.asked.clear();
    this.asked.set(clusterId, now);
    return true;
  }

  /** @returns what came of it; undefined when the cluster is gone, or the look was broken off */
  private async heal(context: ReconcilerContext, facts: ClusterFacts, observation: ObservationRow): Promise<ConditionNow | undefined> {
    const { id } = facts.row;
    // What was decided on was read before the guests were asked. Who holds it comes first: who ends after that was at work.
    const holder = (await readHolders(context.reader, [id])).get(id) ?? null;
    const [now] = await readClusterFacts(context.reader, [id]);
    if (now?.row.lifecycle !== 'PRESENT') return undefined;
    takeOver(facts, now);
    const { target, condition } = decideHealing(healingFacts(now, { observation, holder }), this.options.limits);
    if (target === null) return condition;
    try {
      const changes = await planHealing(context.reader, null, this.tools, now, target);
      const [problem] = changes.problems;
      if (problem !== undefined) throw MuonError.fromRecord(problem);
      const { operationId } = await context.submit(changes);
      context.log.info({ clusterId: id, node: target.name, operationId }, 'a node is being replaced');
      return condition;
    } catch (error) {
      return this.refused(context, id, target, toMuonError(error));
    }
  }

  private async refused(context: ReconcilerContext, clusterId: string, target: HealingTarget, refusal: MuonError): Promise<ConditionNow | undefined> {
    const { code, message, retryable, data } = refusal;
    if (context.signal.aborted) return undefined;
    if (code === 'RESOURCE_BUSY') {
      // It holds something that a replacement needs, if not the cluster.
      const ids = typeof data?.['operationId'] === 'string' ? [data['operationId']] : [];
      const [operation] = await context.reader.rows(findOperations, ids);
      return operation === undefined ? undefined : waitsFor({ operationId: operation.id, kind: operation.kind, state: operation.state, heals: false }, target);
    }
    // What it rests on has changed since it was read: the next look sees what it is now.
    if (code === 'CONFLICT' || code === 'NOT_FOUND') return undefined;
    if (code === 'INTERNAL' || (retryable && code === 'UNAVAILABLE')) throw refusal;
    await this.database.rows(noteRefusal, clusterId, JSON.stringify(refusal.toRecord()));
    return { type: 'HEALABLE', status: 'FALSE', reason: 'REPLACEMENT_REFUSED', message: `${target.name} cannot be replaced now: ${message}` };
  }

  /** The conditions are made of what is there now: an operation may have changed the nodes while the guests were asked. */
  private async write(facts: ClusterFacts, changed: readonly object[], suspects: Suspects, healable: ConditionNow | undefined): Promise<void> {
    const { id } = facts.row;
    await this.database.transaction(async (transaction) => {
      if (changed.length > 0) await transaction.execute(setNodeHealth, JSON.stringify(changed));
      await transaction.execute(setSuspects, id, JSON.stringify(suspects));
      const isChanging = (await readHolders(transaction, [id])).has(id);
      await transaction.execute(setClusterConditions, id, JSON.stringify(await conditionsNow(transaction, id, isChanging, healable)));
    });
  }
}

/** What a decision rests on beside the nodes. */
interface Known {
  observation: ObservationRow;
  holder: Holder | null;
}

/** Who changes these clusters now, or something of them. */
async function readHolders(reader: Reader, clusterIds: readonly string[]): Promise<Map<string, Holder>> {
  const operations = await reader.rows(findHoldingOperations, [...clusterIds]);
  return new Map(operations.map(({ held_resource_id: held, id, kind, state }) => [held, { operationId: id, kind, state, heals: kind === CLUSTER_HEAL }]));
}

/** What this look has seen is not written yet. Of a node that has changed since, as one that was moved, it has seen nothing. */
function takeOver(seen: ClusterFacts, now: ClusterFacts): void {
  const rows = new Map(seen.nodes.map(({ row }) => [row.id, row]));
  for (const { row } of now.nodes) {
    const before = rows.get(row.id);
    if (before?.revision !== row.revision) continue;
    const { health, health_reason, health_since } = before;
    Object.assign(row, { health, health_reason, health_since });
  }
}

function groundOf(node: NodeFacts): Ground {
  return { machine: node.machine === undefined ? undefined : machineState(node.machine), host: node.hostState };
}

function healingFacts(facts: ClusterFacts, { observation, holder }: Known): HealingFacts {
  return {
    controlCount: facts.row.control_count,
    pools: facts.pools.filter((pool) => pool.lifecycle === 'PRESENT'),
    nodes: facts.nodes,
    failures: observation.heal_failures,
    notBefore: observation.heal_not_before,
    lastError: observation.heal_error,
    holder,
    at: new Date(),
  };
}

/** Lets only so many run at once, in the order in which they came. */
class CheckQueue {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.running >= this.limit) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      return await work();
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }
}
