import { toMuonError } from '#core';
import { ChangeSet } from '#database';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, lockResources, operationId, OPERATIONS, type Reconciler, type ReconcilerContext } from '#operations';
import { findFirewallPlaces } from '../firewall-policy/firewall-policy.sql.js';
import { networkId, type NetworkRow } from '../network/network.js';
import { findNetworks } from '../network/network.sql.js';
import { findBackendsInUse, findExpectedParts, type ExpectedPart } from './drift.sql.js';
import { listParts, type Listing } from './listing.js';
import { OVERTAKINGS } from './overtakings.js';
import { around, submitUnlessBusy, type Rounds } from './rounds.js';
import { checkSecurity } from './security-drift.js';
import { MAX_REPAIRED_PARTS, NETWORK_REPAIR } from './repair.operations.js';

/** Whoever hears that the network of a backend is not as it was made wakes these. */
export const NETWORK_DRIFT = 'network-drift';
export const EDGE_DRIFT = 'edge-drift';

export interface NetworkDriftOptions {
  everyMs?: number;
  /** What changed later is left alone: listings may lag behind. */
  graceMs?: number;
  /** A backend that has lost everything is repaired in several runs. */
  repairsAtOnce?: number;
}

export const REPAIRS_AT_ONCE = 50;

const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_GRACE_MS = 30_000;
const PAGE = 500;
const MAX_BACKENDS = 1000;
const MAX_DRIFTED = REPAIRS_AT_ONCE * MAX_REPAIRED_PARTS;
const TABLES = { NETWORK: 'network', PORT: 'port', LOAD_BALANCER: 'load_balancer' } as const;

/**
 * Compares what backends have with what they shall have, part by part, and repairs by operations what differs, has been
 * changed by somebody else, or is not known to be there because whoever brought it did not come to an end.
 */
export function networkDrift(drivers: DriverRegistry, options: NetworkDriftOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, graceMs = DEFAULT_GRACE_MS, repairsAtOnce = REPAIRS_AT_ONCE } = options;
  const rounds: Rounds = new Map();
  return defineReconciler({
    name: NETWORK_DRIFT,
    everyMs,
    timeoutMs: Math.max(everyMs, DEFAULT_EVERY_MS),
    async run(context) {
      const backends = await context.reader.rows(findBackendsInUse, MAX_BACKENDS);
      for (const { backend_id: backendId } of backends) {
        if (context.signal.aborted) return;
        try {
          await checkBackend(context, drivers, backendId, { unchangedSince: new Date(Date.now() - graceMs), rounds, repairsAtOnce });
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the network of a backend could not be compared');
        }
      }
    },
  });
}

/** How backends are looked through. */
export interface Look {
  unchangedSince: Date;
  rounds: Rounds;
  repairsAtOnce: number;
}

async function checkBackend(context: ReconcilerContext, drivers: DriverRegistry, backendId: string, look: Look): Promise<void> {
  const { unchangedSince, rounds, repairsAtOnce } = look;
  const { network } = await drivers.driver(backendId);
  // Before the listing, which then has all that the backend is known to have.
  const [firewall] = await context.reader.rows(findFirewallPlaces, backendId, null);
  const listing = await listParts(context, network, backendId);
  const drifted: ExpectedPart[] = [];
  const parts = around(rounds.get(backendId) ?? '', PAGE, (after) => context.reader.rows(findExpectedParts, backendId, after, PAGE, unchangedSince));
  for await (const part of parts) {
    if (listing.differs(part)) drifted.push(part);
    if (drifted.length === MAX_DRIFTED) break;
  }
  if (drifted.length > 0) context.log.warn({ backendId, parts: drifted.length, first: drifted[0]?.id }, 'a backend lacks what it shall have; repairing');
  rounds.set(backendId, await repair(context, backendId, drifted, { listing, most: repairsAtOnce }));
  await checkSecurity(context, backendId, { ...look, listing, firewall });
}

/** @returns after which part the next run is to begin */
async function repair(
  context: ReconcilerContext,
  backendId: string,
  drifted: readonly ExpectedPart[],
  { listing, most }: { listing: Listing; most: number },
): Promise<string> {
  const byNetwork = [...Map.groupBy(drifted, (part) => part.network_id)];
  const networks = new Map((await context.reader.rows(findNetworks, byNetwork.map(([id]) => id))).map((row) => [row.id, row]));
  let accepted = 0;
  for (const [id, parts] of byNetwork) {
    const network = networks.get(id);
    if (network === undefined) continue;
    if (await submitUnlessBusy(context, repairOf(network, backendId, parts.slice(0, MAX_REPAIRED_PARTS), listing))) accepted += 1;
    if (accepted === most) return parts[0]?.id ?? '';
  }
  return drifted.length === MAX_DRIFTED ? (drifted.at(-1)?.id ?? '') : '';
}

function repairOf(network: NetworkRow, backendId: string, parts: readonly ExpectedPart[], listing: Listing): ChangeSet {
  const ids = (kind: ExpectedPart['kind']): string[] => parts.filter((part) => part.kind === kind).map((part) => part.id);
  const operation = operationId.create();
  const changes = new ChangeSet();
  lockResources(changes, operation, [network.id]);
  for (const part of parts.filter((each) => listing.isAhead(each))) {
    changes.add(OVERTAKINGS, { table: TABLES[part.kind], id: part.id, revision: listing.told(part.id) });
  }
  changes.add(OPERATIONS, {
    id: operation,
    kind: NETWORK_REPAIR,
    resourceKind: networkId.prefix,
    resourceId: network.id,
    tenantId: network.tenant_id,
    projectId: network.project_id,
    backendId,
    input: { networkId: network.id, backendId, portIds: ids('PORT'), loadBalancerIds: ids('LOAD_BALANCER') },
  });
  changes.result = { id: network.id, operationId: operation };
  return changes;
}
