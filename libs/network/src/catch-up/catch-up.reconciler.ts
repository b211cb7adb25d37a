import { sleep, toMuonError } from '#core';
import type { Database } from '#database';
import type { DriverCall, NetworkDriver } from '#drivers';
import { explainHostBehind, findHostsBehind, markHostCurrent, type DriverRegistry, type HostRow } from '#infrastructure';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { settleHosts, unlessMissing } from '../realise/outcomes.js';
import { findPartsOnHost } from './catch-up.sql.js';

/** Woken when a host returns. */
export const NETWORK_CATCH_UP = 'network-catch-up';

export interface CatchUpOptions {
  everyMs?: number;
  /** How long one run asks a host again and again before it leaves it to the next. */
  patienceMs?: number;
}

const DEFAULT_EVERY_MS = 30_000;
const DEFAULT_PATIENCE_MS = 30_000;
const TIMEOUT_MS = 120_000;
const CALL_TIMEOUT_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const MAX_HOSTS = 50;
const HOSTS_AT_ONCE = 8;
const PAGE = 100;
const MAX_PAGES = 100;

type Host = Pick<HostRow, 'id' | 'backend_id' | 'name' | 'network_tellings'>;

/** Why a host has not caught up, as operators are told. */
const NOT_CAUGHT_UP = 'It answers again, and has not taken over what its network was told: its network agent is to be looked at.';
const NETWORK_SLOW = 'It is not known yet whether it has what its network was told: the network’s control plane, or another host, is not done.';

interface Behind {
  host: Host;
  reason: string;
}

/**
 * Asks hosts that were away, or did not answer when their network was told something, until they have all of it, and says
 * at the host which has not.
 */
export function networkCatchUp(database: Database, drivers: DriverRegistry, options: CatchUpOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, patienceMs = DEFAULT_PATIENCE_MS } = options;
  return defineReconciler({
    name: NETWORK_CATCH_UP,
    everyMs,
    timeoutMs: TIMEOUT_MS,
    async run(context) {
      const endsAt = performance.now() + patienceMs;
      let behind: Behind[];
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
        behind = await askAll(context, database, drivers, await context.reader.rows(findHostsBehind, MAX_HOSTS));
        if (behind.length === 0 || context.signal.aborted) return;
        if (performance.now() + pauseMs > endsAt) break;
        await sleep(pauseMs, context.signal);
      }
      for (const { host, reason } of behind) {
        const { id, backend_id: backendId, name } = host;
        context.log.warn({ hostId: id, backendId, name, reason }, 'a host has not taken over its network since it is back');
        await database.transaction((transaction) => transaction.execute(explainHostBehind, id, reason));
      }
    },
  });
}

/** @returns those that have not caught up */
async function askAll(context: ReconcilerContext, database: Database, drivers: DriverRegistry, hosts: readonly Host[]): Promise<Behind[]> {
  const left: Behind[] = [];
  for (let from = 0; from < hosts.length; from += HOSTS_AT_ONCE) {
    if (context.signal.aborted) return [...left, ...hosts.slice(from).map((host) => ({ host, reason: NETWORK_SLOW }))];
    const asked = hosts.slice(from, from + HOSTS_AT_ONCE).map(async (host) => {
      try {
        const reason = await whyBehind(context, (await drivers.driver(host.backend_id)).network, host);
        if (reason !== null) return [{ host, reason }];
        await database.transaction((transaction) => transaction.execute(markHostCurrent, host.id, host.network_tellings));
        return [];
      } catch (error) {
        // One backend that is away must not keep hosts of the others from being asked.
        const { code, message, detail } = toMuonError(error);
        context.log.warn({ hostId: host.id, code, reason: message, detail }, 'a host could not be asked for its network');
        return [{ host, reason: `It could not be asked whether it has what its network was told: ${message}` }];
      }
    });
    left.push(...(await Promise.all(asked)).flat());
  }
  return left;
}

/** @returns null of a host that has everything */
async function whyBehind(context: ReconcilerContext, driver: NetworkDriver, host: Host): Promise<string | null> {
  let after = '';
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const parts = await context.reader.rows(findPartsOnHost, host.id, host.backend_id, host.name, after, PAGE);
    const { again, pending } = await settleHosts(parts.map(({ id }) => unlessMissing(driver.realised(callOf(context, host, id), id))));
    if (pending.includes(host.name)) return NOT_CAUGHT_UP;
    if (again !== null) return NETWORK_SLOW;
    const last = parts.at(-1);
    if (last === undefined || parts.length < PAGE) return null;
    after = last.id;
  }
  return NETWORK_SLOW;
}

/** One call for all that the host was told so far, however often it is repeated. */
function callOf({ signal }: ReconcilerContext, { id, network_tellings: tellings }: Host, partId: string): DriverCall {
  return { idempotencyKey: `network-catch-up/${id}/${tellings}/${partId}`, timeoutMs: CALL_TIMEOUT_MS, signal };
}
