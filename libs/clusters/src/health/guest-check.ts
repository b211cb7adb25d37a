import { sleep, toMuonError, type Logger } from '#core';
import type { DriverCall } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { clusterForBlueprint, type ClusterFacts, type NodeFacts } from '../guest/cluster-facts.js';
import { runScript } from '../guest/guest-runner.js';
import { told } from '../node/node-steps.js';
import type { GuestAnswer } from './observation.js';

export interface GuestCheckOptions {
  drivers: DriverRegistry;
  log: Logger;
  /** How long one check may take in all, in ms. */
  patienceMs: number;
  callTimeoutMs: number;
}

/**
 * Asks a node's guest whether it is ready.
 * @param round names the look: a check is run once a round, however often it is asked for
 */
export async function checkGuest(
  options: GuestCheckOptions,
  facts: ClusterFacts,
  node: NodeFacts,
  round: string,
  signal: AbortSignal,
): Promise<GuestAnswer> {
  if (node.machine === undefined || node.blueprintNode === undefined || facts.apiAddress === null) return undefined;
  const machineId = node.machine.id;
  const script = facts.blueprint.checkReady(clusterForBlueprint(facts), told(node));
  const run = { ...script, runId: `health-${machineId}-${round}`, machineId };
  const until = performance.now() + options.patienceMs;
  try {
    const { compute } = await options.drivers.driver(node.machine.backend_id);
    for (;;) {
      const call: DriverCall = { idempotencyKey: run.runId, timeoutMs: options.callTimeoutMs, signal };
      const answer = await runScript(compute, call, run);
      if (answer.type === 'DONE') return 'READY';
      if (answer.type === 'FAILED') return 'NOT_READY';
      const pauseMs = Math.max(answer.afterMs, 20);
      if (performance.now() + pauseMs > until) return 'SILENT';
      await sleep(pauseMs, signal);
    }
  } catch (error) {
    return answerOf(error, signal, options.log);
  }
}

function answerOf(error: unknown, signal: AbortSignal, log: Logger): GuestAnswer {
  // The look itself was broken off: nothing was learned of the node.
  if (signal.aborted) return undefined;
  const { code, retryable, message } = toMuonError(error);
  if (code === 'NOT_FOUND') return 'GONE';
  if (code === 'INVALID_STATE') return 'STOPPED';
  if (retryable) return 'AWAY';
  log.warn({ code, reason: message }, 'a readiness check could not be made');
  return undefined;
}
