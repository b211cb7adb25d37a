import { idPrefix, toMuonError } from '#core';
import { ChangeSet, type Database } from '#database';
import type { DriverCall, NetworkDriver } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, lockResources, operationId, OPERATIONS, type Reconciler, type ReconcilerContext } from '#operations';
import { noteConnectedHosts } from '../external-network/connected-hosts.js';
import { GATEWAY_HOSTS } from '../realise/edge-specifications.js';
import { findBackendsWithEdge, findExpectedEdgeParts, findMovedGateways, type ExpectedEdgePart } from './edge-drift.sql.js';
import { EDGE_REPAIR } from './edge-repair.operations.js';
import { listParts, type Listing } from './listing.js';
import { EDGE_DRIFT, REPAIRS_AT_ONCE, type Look, type NetworkDriftOptions } from './network.reconciler.js';
import { OVERTAKINGS } from './overtakings.js';
import { around, submitUnlessBusy, type Rounds } from './rounds.js';

const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_GRACE_MS = 30_000;
const CALL_TIMEOUT_MS = 10_000;
const PAGE = 500;
const MAX_BACKENDS = 1000;

const TABLES = {
  EXTERNAL_NETWORK: 'external_network',
  PROVIDER_ROUTER: 'provider_router',
  ROUTER: 'router',
  FLOATING_IP: 'floating_ip',
} as const;

type Repaired = Pick<ExpectedEdgePart, 'id' | 'kind' | 'tenant_id' | 'project_id' | 'desired_revision'>;

/**
 * Compares external networks, routers, provider's routers and floating IPs of backends with what they shall have, and looks
 * whether uplinks are to be led by other hosts, as some have come, gone, or got or lost bridges; repairs by operations what differs.
 */
export function edgeDrift(database: Database, drivers: DriverRegistry, options: NetworkDriftOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, graceMs = DEFAULT_GRACE_MS, repairsAtOnce = REPAIRS_AT_ONCE } = options;
  const rounds: Rounds = new Map();
  return defineReconciler({
    name: EDGE_DRIFT,
    everyMs,
    timeoutMs: Math.max(everyMs, DEFAULT_EVERY_MS),
    async run(context) {
      for (const { backend_id: backendId } of await context.reader.rows(findBackendsWithEdge, MAX_BACKENDS)) {
        if (context.signal.aborted) return;
        try {
          const { network } = await drivers.driver(backendId);
          await noteHosts(context, database, network, backendId).catch((error: unknown) => warnOf(context, backendId, error, 'which hosts reach outside could not be seen'));
          await checkBackend(context, network, backendId, { unchangedSince: new Date(Date.now() - graceMs), rounds, repairsAtOnce });
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          warnOf(context, backendId, error, 'the edge of a backend could not be compared');
        }
      }
    },
  });
}

function warnOf({ log }: ReconcilerContext, backendId: string, error: unknown, what: string): void {
  const { code, message, detail } = toMuonError(error);
  log.warn({ backendId, code, reason: message, detail }, what);
}

/** Uplinks are led by hosts that reach outside, so that comes first. */
async function noteHosts({ log, signal, fence }: ReconcilerContext, database: Database, network: NetworkDriver, backendId: string): Promise<void> {
  const call = (physicalNetwork: string): DriverCall => ({ idempotencyKey: `${EDGE_DRIFT}/${fence}/${physicalNetwork}`, timeoutMs: CALL_TIMEOUT_MS, signal });
  for (const { id, physical_network: physicalNetwork, hosts } of await noteConnectedHosts(database, backendId, network, call)) {
    const noted = { backendId, externalNetworkId: id, physicalNetwork, hosts: hosts?.length ?? null };
    if (hosts?.length === 0) log.warn(noted, 'no host reaches this external network any more: what is sent there is lost');
    else log.info(noted, 'other hosts reach an external network now');
  }
}

async function checkBackend(context: ReconcilerContext, network: NetworkDriver, backendId: string, look: Look): Promise<void> {
  const { unchangedSince, rounds, repairsAtOnce } = look;
  const listing = await listParts(context, network, backendId);
  const parts = around(rounds.get(backendId) ?? '', PAGE, (after) => context.reader.rows(findExpectedEdgeParts, backendId, after, PAGE, unchangedSince));
  rounds.delete(backendId);
  const tried = new Set<string>();
  let accepted = 0;
  const repair = async (part: Repaired): Promise<void> => {
    tried.add(part.id);
    if (await submitUnlessBusy(context, repairOf(part, backendId, listing))) accepted += 1;
  };
  const moved = await context.reader.rows(findMovedGateways, backendId, GATEWAY_HOSTS, repairsAtOnce);
  const moveSome = async (limit: number): Promise<void> => {
    for (const router of moved) if (accepted < limit && !tried.has(router.id)) await repair(router);
  };
  // All of a router goes over its gateway: those come before single addresses, and leave some room for the rest.
  await moveSome(Math.ceil(repairsAtOnce / 2));
  for await (const part of parts) {
    if (tried.has(part.id) || !(part.is_led_nowhere ? listing.has(part.id) : listing.differs(part))) continue;
    await repair(part);
    if (accepted < repairsAtOnce) continue;
    rounds.set(backendId, part.id);
    break;
  }
  await moveSome(repairsAtOnce);
  if (tried.size === 0) return;
  context.log.warn({ backendId, parts: tried.size, accepted, first: [...tried][0] }, 'a backend lacks what it shall have at its edge; repairing');
}

function repairOf(part: Repaired, backendId: string, listing: Listing): ChangeSet {
  const ids = (kind: Repaired['kind']): string[] => (part.kind === kind ? [part.id] : []);
  const operation = operationId.create();
  const changes = new ChangeSet();
  lockResources(changes, operation, [part.id]);
  if (listing.isAhead(part)) changes.add(OVERTAKINGS, { table: TABLES[part.kind], id: part.id, revision: listing.told(part.id) });
  changes.add(OPERATIONS, {
    id: operation,
    kind: EDGE_REPAIR,
    resourceKind: idPrefix(part.id) ?? '',
    resourceId: part.id,
    tenantId: part.tenant_id,
    projectId: part.project_id,
    backendId,
    input: { externalNetworkIds: ids('EXTERNAL_NETWORK'), providerRouterIds: ids('PROVIDER_ROUTER'), routerIds: ids('ROUTER'), floatingIpIds: ids('FLOATING_IP') },
  });
  changes.result = { id: part.id, operationId: operation };
  return changes;
}
