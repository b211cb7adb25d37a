import { MuonError, toMuonError } from '#core';
import { ChangeSet } from '#database';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, lockResources, operationId, OPERATIONS, type Reconciler, type ReconcilerContext } from '#operations';
import { findFirewallPlaces } from '../firewall-policy/firewall-policy.sql.js';
import { networkId, type NetworkRow } from '../network/network.js';
import { findNetworks } from '../network/network.sql.js';
import { findBackendsInUse, findExpectedParts, type ExpectedPart } from './drift.sql.js';
import { listParts, type Listing } from './listing.js';
import { OVERTAKINGS } from './overtakings.js';
import { checkSecurity } from './security-drift.js';
import { MAX_REPAIRED_PARTS, NETWORK_REPAIR } from './repair.operations.js';

/** Whoever hears that the network of a backend is not as it was made wakes these. */
export const NETWORK_DRIFT = 'network-drift';
export const EDGE_DRIFT = 'edge-drift';

export interface NetworkDriftOptions {
  everyMs?: number;
  /** What changed later is left alone: listings may lag behind. */
  graceMs?: number;
}

const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_GRACE_MS = 30_000;
const PAGE = 500;
const MAX_PAGES = 2000;
const MAX_BACKENDS = 1000;
/** A backend that has lost everything is repaired in several runs. */
const MAX_REPAIRS = 50;
const TABLES = { NETWORK: 'network', PORT: 'port', LOAD_BALANCER: 'load_balancer' } as const;

/**
 * Compares what backends have with what they shall have, part by part, and repairs by operations what differs, has been
 * changed by somebody else, or is not known to be there because whoever brought it did not come to an end.
 */
export function networkDrift(drivers: DriverRegistry, options: NetworkDriftOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, graceMs = DEFAULT_GRACE_MS } = options;
  return defineReconciler({
    name: NETWORK_DRIFT,
    everyMs,
    timeoutMs: Math.max(everyMs, DEFAULT_EVERY_MS),
    async run(context) {
      const backends = await context.reader.rows(findBackendsInUse, MAX_BACKENDS);
      for (const { backend_id: backendId } of backends) {
        if (context.signal.aborted) return;
        try {
          await checkBackend(context, drivers, backendId, new Date(Date.now() - graceMs));
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the network of a backend could not be compared');
        }
      }
    },
  });
}

async function checkBackend(context: ReconcilerContext, drivers: DriverRegistry, backendId: string, unchangedSince: Date): Promise<void> {
  const { network } = await drivers.driver(backendId);
  // Before the listing, which then has all that the backend is known to have.
  const [firewall] = await context.reader.rows(findFirewallPlaces, backendId, null);
  const listing = await listParts(context, network, backendId);
  const drifted: ExpectedPart[] = [];
  let after = '';
  for (let page = 0; page < MAX_PAGES && drifted.length < MAX_REPAIRS * MAX_REPAIRED_PARTS; page += 1) {
    const parts = await context.reader.rows(findExpectedParts, backendId, after, PAGE, unchangedSince);
    drifted.push(...parts.filter((part) => listing.differs(part)));
    const last = parts.at(-1);
    if (last === undefined || parts.length < PAGE) break;
    after = last.id;
  }
  if (drifted.length > 0) {
    context.log.warn({ backendId, parts: drifted.length, first: drifted[0]?.id }, 'a backend lacks what it shall have; repairing');
    await repair(context, backendId, drifted, listing);
  }
  await checkSecurity(context, backendId, { listing, firewall, unchangedSince });
}

async function repair(context: ReconcilerContext, backendId: string, drifted: readonly ExpectedPart[], listing: Listing): Promise<void> {
  const byNetwork = [...Map.groupBy(drifted, (part) => part.network_id)].slice(0, MAX_REPAIRS);
  const rows = await context.reader.rows(findNetworks, byNetwork.map(([id]) => id));
  const networks = new Map(rows.map((row) => [row.id, row]));
  for (const [id, parts] of byNetwork) {
    const network = networks.get(id);
    if (network === undefined) continue;
    try {
      await context.submit(repairOf(network, backendId, parts.slice(0, MAX_REPAIRED_PARTS), listing));
    } catch (error) {
      // Whoever holds the network is changing it, or repairs it already: the next run sees what is left.
      if (!(error instanceof MuonError) || error.code !== 'RESOURCE_BUSY') throw error;
    }
  }
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
