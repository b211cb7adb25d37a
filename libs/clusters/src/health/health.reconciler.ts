import { MuonError, toMuonError } from '#core';
import type { Database } from '#database';
import { machineState } from '#compute';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { conditionsNow } from '../cluster/cluster-ends.js';
import { planHealing } from '../cluster/cluster-heal-plan.js';
import { setClusterConditions } from '../cluster/cluster.sql.js';
import { readClusterFacts, readOneCluster, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import { setNodeHealth } from '../node/cluster-node.sql.js';
import type { ConditionNow } from './conditions.js';
import { checkGuest, type GuestCheckOptions } from './guest-check.js';
import { decideHealing, DEFAULT_HEALING_LIMITS, type HealingFacts, type HealingLimits, type HealingTarget } from './healing.js';
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
export function clusterHealth(database: Database, drivers: DriverRegistry, options: ClusterHealthOptions = {}): Reconciler {
  const { everyMs = 5000, observeEveryMs = 20_000, askEveryMs = 20_000, patienceMs = 10_000 } = options;
  const look = new ClusterLook(database, drivers, {
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
    private readonly drivers: DriverRegistry,
    private readonly options: LookOptions,
  ) {}

  async run(context: ReconcilerContext): Promise<void> {
    const began = (await this.database.first(readClock))?.now ?? new Date();
    for (let batch = 0; batch < MAX_BATCHES && !context.signal.aborted; batch += 1) {
      const turn = await this.database.rows(takeTurn, BATCH, this.options.observeEveryMs, began);
      if (turn.length === 0) return;
      const observations = new Map(turn.map((row) => [row.cluster_id, row]));
      const clusters = await readClusterFacts(context.reader, [...observations.keys()]);
      const queue = new CheckQueue(PARALLEL_CHECKS);
      await Promise.all(
        clusters.map(async (facts) => {
          const observation = observations.get(facts.row.id);
          if (observation === undefined) return;
          try {
            await this.lookAt(context, facts, observation, queue);
          } catch (error) {
            // One cluster must not keep the others from being looked at.
            const { code, message, detail } = toMuonError(error);
            context.log.warn({ clusterId: facts.row.id, code, reason: message, detail }, 'a cluster could not be looked at');
          }
        }),
      );
    }
  }

  private async lookAt(context: ReconcilerContext, facts: ClusterFacts, observation: ObservationRow, queue: CheckQueue): Promise<void> {
    if (facts.row.lifecycle !== 'PRESENT') return;
    const { changed, suspects } = await this.observe(context, facts, observation, queue);
    if (context.signal.aborted) return;
    const decision = decideHealing(healingFacts(facts, observation), this.options.limits);
    const refusal = decision.target === null ? null : await this.heal(context, facts, decision.target);
    await this.write(facts, changed, suspects, refusal ?? decision.condition);
  }

  /** Takes what is seen over into the facts at hand, and returns what is to be written of it. */
  private async observe(context: ReconcilerContext, facts: ClusterFacts, observation: ObservationRow, queue: CheckQueue) {
    const { log, signal } = context;
    const { patienceMs, observeEveryMs, thresholds } = this.options;
    const check: GuestCheckOptions = { drivers: this.drivers, log, patienceMs, callTimeoutMs: CALL_TIMEOUT_MS };
    const round = String(Math.floor(Date.now() / Math.max(1, observeEveryMs)));
    const members = facts.nodes.filter((node) => node.row.phase === 'JOINED');
    const changed: { id: string; health: string; reason: string; since: string }[] = [];
    const suspects: Suspects = {};
    const asksAll = this.isTimeToAsk(facts.row.id);
    await Promise.all(
      members.map(async (node) => {
        const ground = groundOf(node);
        const { row } = node;
        const isSuspect = row.health !== 'READY' || observation.suspects[row.id] !== undefined;
        const asks = isWorthAsking(ground) && (asksAll || isSuspect);
        const answer = asks ? await queue.run(() => checkGuest(check, facts, node, round, signal)) : undefined;
        const before = { health: row.health, reason: row.health_reason, since: row.health_since };
        const folded = foldSighting(before, observation.suspects[row.id], sightingOf(ground, answer), thresholds, new Date());
        if (folded.suspect !== undefined) suspects[row.id] = folded.suspect;
        const { health, reason, since } = folded.believed;
        if (health === row.health && reason === row.health_reason) return;
        changed.push({ id: row.id, health, reason, since: since.toISOString() });
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

  /** @returns why the replacement was refused; null when it is under way, here or elsewhere */
  private async heal(context: ReconcilerContext, facts: ClusterFacts, target: HealingTarget): Promise<ConditionNow | null> {
    try {
      // What is decided on was read before the guests were asked.
      const now = await readOneCluster(context.reader, facts.row.id);
      if (now.row.lifecycle !== 'PRESENT') return null;
      takeOver(facts, now);
      const changes = await planHealing(context.reader, null, this.drivers, now, target);
      const [problem] = changes.problems;
      if (problem !== undefined) throw MuonError.fromRecord(problem);
      const { operationId } = await context.submit(changes);
      context.log.info({ clusterId: facts.row.id, node: target.name, operationId }, 'a node is being replaced');
      return null;
    } catch (error) {
      const refusal = toMuonError(error);
      const { code, message, retryable } = refusal;
      if (code === 'RESOURCE_BUSY' || code === 'CONFLICT' || code === 'NOT_FOUND' || context.signal.aborted) return null;
      if (code === 'INTERNAL' || (retryable && code === 'UNAVAILABLE')) throw error;
      await this.database.rows(noteRefusal, facts.row.id, JSON.stringify(refusal.toRecord()));
      return { type: 'HEALABLE', status: 'FALSE', reason: 'REPLACEMENT_REFUSED', message: `${target.name} cannot be replaced now: ${message}` };
    }
  }

  /** The conditions are made of what is there now: an operation may have changed the nodes while the guests were asked. */
  private async write(facts: ClusterFacts, changed: readonly object[], suspects: Suspects, healable: ConditionNow): Promise<void> {
    const { id } = facts.row;
    await this.database.transaction(async (transaction) => {
      if (changed.length > 0) await transaction.execute(setNodeHealth, JSON.stringify(changed));
      await transaction.execute(setSuspects, id, JSON.stringify(suspects));
      await transaction.execute(setClusterConditions, id, JSON.stringify(await conditionsNow(transaction, id, healable)));
    });
  }
}

/** What this look has seen is not written yet. */
function takeOver(seen: ClusterFacts, now: ClusterFacts): void {
  const rows = new Map(seen.nodes.map(({ row }) => [row.id, row]));
  for (const { row } of now.nodes) {
    const { health = row.health, health_reason = row.health_reason, health_since = row.health_since } = rows.get(row.id) ?? {};
    Object.assign(row, { health, health_reason, health_since });
  }
}

function groundOf(node: NodeFacts): Ground {
  return { machine: node.machine === undefined ? undefined : machineState(node.machine), host: node.hostState };
}

function healingFacts(facts: ClusterFacts, observation: ObservationRow): HealingFacts {
  return {
    controlCount: facts.row.control_count,
    pools: facts.pools.filter((pool) => pool.lifecycle === 'PRESENT'),
    nodes: facts.nodes,
    failures: observation.heal_failures,
    notBefore: observation.heal_not_before,
    lastError: observation.heal_error,
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
