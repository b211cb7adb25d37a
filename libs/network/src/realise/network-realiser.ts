import { MuonError } from '#core';
import { findHosts, type DriverRegistry } from '#infrastructure';
import type { NetworkDriver, Outcome } from '#drivers';
import { done, wait, type StepWait } from '#operations';
import { findLoadBalancers, markLoadBalancersRealised } from '../load-balancer/load-balancer.sql.js';
import { findNetworkBackends, markNetworksRealised } from '../network/network.sql.js';
import { findPorts, markPortsRealised } from '../port/port.sql.js';
import { findGroupBackends } from '../security-group/security-group.sql.js';
import { afterBarrier, hostsHave } from './barrier.js';
import { EdgeRealiser } from './edge-realiser.js';
import { isMissing, settleAll, settleHosts, unlessMissing } from './outcomes.js';
import {
  at,
  distinct,
  forget,
  keyOf,
  requireAll,
  TOLD_AGAIN,
  type AnyContext,
  type Answer,
  type Place,
  type RealisedNetworks,
  type Removal,
  type RemoveOptions,
} from './places.js';
import { SecurityRealiser } from './security-realiser.js';
import { loadBalancerSpecifications, networkParts, portSpecifications, type NetworkPart } from './specifications.js';

export interface NetworkRealiserOptions {
  /** How long an undo lets a late effect of a lost call show itself before it looks again. */
  settleMs?: number;
}


const DEFAULT_SETTLE_MS = 500;
const BLOCKED_RETRY_MS = 1000;
const SETTLED = 'settled';

/**
 * Makes backends equal to the rows, for the steps of this room's operations and of those above. Everything here may be
 * repeated at any point; nothing is called inside a transaction; what was reached is written with the step's outcome.
 */
export class NetworkRealiser implements RealisedNetworks {
  /** External networks, routers and floating IPs. */
  readonly edge: EdgeRealiser;
  /** What stands over ports: security groups, and the firewall above them. */
  readonly security: SecurityRealiser;
  private readonly settleMs: number;

  constructor(
    private readonly drivers: DriverRegistry,
    options: NetworkRealiserOptions = {},
  ) {
    this.settleMs = options.settleMs ?? DEFAULT_SETTLE_MS;
    this.edge = new EdgeRealiser(this);
    this.security = new SecurityRealiser(drivers);
  }

  /**
   * Makes these networks equal to their rows on all backends that they span, or on one of them.
   * @param options.force also where they are known to be so
   */
  async ensureNetworks(context: AnyContext, networkIds: readonly string[], options: { force?: boolean; backendId?: string } = {}): Promise<Answer> {
    const parts = await networkParts(context.reader, networkIds);
    const behind = parts.filter(
      (part) =>
        (options.backendId === undefined || part.backendId === options.backendId) &&
        (options.force === true || part.realisedRevision < part.specification.revision),
    );
    return this.bringUp(context, behind);
  }

  /** Ensures that these networks are on none of the backends that they span. */
  async removeNetworks(context: AnyContext, networkIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const backends = await context.reader.rows(findNetworkBackends, [...networkIds]);
    return this.remove(context, backends.map((row) => ({ id: row.network_id, backendId: row.backend_id })), 'removeNetwork', options);
  }

  /** Makes these ports real, with their networks first, and waits until the live hosts have them. */
  async ensurePorts(context: AnyContext, portIds: readonly string[], options: { force?: boolean } = {}): Promise<Answer> {
    const rows = await context.reader.rows(findPorts, [...portIds]);
    requireAll('port', portIds, rows);
    const places = distinct(rows.map((row) => ({ networkId: row.network_id, backendId: row.backend_id })));
    const prepared = await this.ensureAt(context, places);
    if (prepared.type === 'WAIT') return prepared;
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const secured = await this.security.prepare(context, behind);
    if (secured.type === 'WAIT') return secured;
    const specifications = await portSpecifications(context.reader, behind);
    const lost = await this.callAll(
      context,
      behind.map((row, index) => ({
        place: { networkId: row.network_id, backendId: row.backend_id },
        call: (driver) => driver.ensurePort(context.call(row.id), at(specifications, index)),
      })),
    );
    if (lost.type === 'LOST') return forget(lost.places, behind.map((row) => row.id));
    if (lost.type === 'AGAIN') return wait({ afterMs: lost.afterMs, blocker: 'The backend is making the ports.' });
    const realised = JSON.stringify(behind.map((row) => ({ id: row.id, revision: row.desired_revision })));
    const barrier = await this.realised(context, places, realised);
    if (barrier.type === 'WAIT') return barrier;
    return afterBarrier(barrier, async (transaction, apply) => {
      await prepared.commit?.(transaction, apply);
      await secured.commit?.(transaction, apply);
      if (behind.length > 0) await transaction.execute(markPortsRealised, realised);
    });
  }

  /** Ensures that these ports are on no backend. Their rows are removed by `planPortRemoval`. */
  async removePorts(context: AnyContext, portIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findPorts, [...portIds]);
    return this.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removePort', options);
  }

  /** Makes these load balancers real with the members that their rows have now, their networks first, and waits until the live hosts have them. */
  async ensureLoadBalancers(context: AnyContext, loadBalancerIds: readonly string[], options: { force?: boolean } = {}): Promise<Answer> {
    const rows = await context.reader.rows(findLoadBalancers, [...loadBalancerIds]);
    requireAll('load balancer', loadBalancerIds, rows);
    const places = distinct(rows.map((row) => ({ networkId: row.network_id, backendId: row.backend_id })));
    const prepared = await this.ensureAt(context, places);
    if (prepared.type === 'WAIT') return prepared;
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const specifications = await loadBalancerSpecifications(context.reader, behind);
    const lost = await this.callAll(
      context,
      behind.map((row, index) => ({
        place: { networkId: row.network_id, backendId: row.backend_id },
        // Another membership is another call, also within one step.
        call: (driver) => driver.ensureLoadBalancer(context.call(`${row.id}/${row.desired_revision}`), at(specifications, index)),
      })),
    );
    if (lost.type === 'LOST') return forget(lost.places);
    if (lost.type === 'AGAIN') return wait({ afterMs: lost.afterMs, blocker: 'The backend is making the load balancer.' });
    const realised = JSON.stringify(behind.map((row) => ({ id: row.id, revision: row.desired_revision })));
    const barrier = await this.realised(context, places, realised);
    if (barrier.type === 'WAIT') return barrier;
    return afterBarrier(barrier, async (transaction, apply) => {
      await prepared.commit?.(transaction, apply);
      if (behind.length > 0) await transaction.execute(markLoadBalancersRealised, realised);
    });
  }

  /** Ensures that these load balancers are on no backend. Their rows are removed by `planLoadBalancerRemoval`. */
  async removeLoadBalancers(context: AnyContext, loadBalancerIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findLoadBalancers, [...loadBalancerIds]);
    return this.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removeLoadBalancer', options);
  }

  /** Ensures that these security groups are on no backend; those that still have ports there are waited for. */
  async removeSecurityGroups(context: AnyContext, securityGroupIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const spans = await context.reader.rows(findGroupBackends, [...securityGroupIds]);
    return this.remove(context, spans.map((span) => ({ id: span.security_group_id, backendId: span.backend_id })), 'removeSecurityGroup', options);
  }

  /** Makes networks equal to their rows on these backends, where they are not known to be so. */
  async ensureAt(context: AnyContext, places: readonly Place[]): Promise<Answer> {
    const parts = await networkParts(context.reader, places.map((place) => place.networkId));
    const wanted = new Set(places.map(keyOf));
    const behind = parts.filter(
      (part) =>
        part.realisedRevision < part.specification.revision &&
        wanted.has(keyOf({ networkId: part.specification.networkId, backendId: part.backendId })),
    );
    return this.bringUp(context, behind);
  }

  private async bringUp(context: AnyContext, parts: readonly NetworkPart[]): Promise<Answer> {
    const calls = parts.map(async ({ backendId, specification }) => {
      const call = `${specification.networkId}/${specification.revision}`;
      return (await this.network(backendId)).ensureNetwork(context.call(call), specification);
    });
    const again = await settleAll(calls);
    if (again !== null) return wait({ afterMs: again, blocker: 'The backend is making the network.' });
    if (parts.length === 0) return done();
    const realised = JSON.stringify(
      parts.map(({ backendId, specification }) => ({ networkId: specification.networkId, backendId, revision: specification.revision })),
    );
    return done({
      commit: async (transaction) => {
        await transaction.execute(markNetworksRealised, realised);
      },
    });
  }

  /** Calls for parts that lie in networks; a backend that does not know the network is told of it again. */
  private async callAll(
    context: AnyContext,
    parts: readonly { place: Place; call: (driver: NetworkDriver) => Promise<Outcome<void>> }[],
  ): Promise<{ type: 'DONE' } | { type: 'AGAIN'; afterMs: number } | { type: 'LOST'; places: Place[] }> {
    const lost: Place[] = [];
    const again = await settleAll(
      parts.map(async ({ place, call }): Promise<Outcome<void>> => {
        const driver = await this.network(place.backendId);
        try {
          return await call(driver);
        } catch (error) {
          if (!isMissing(error) || context.step.memo === TOLD_AGAIN) throw error;
          lost.push(place);
          return { state: 'DONE', value: undefined };
        }
      }),
    );
    if (lost.length > 0) return { type: 'LOST', places: distinct(lost) };
    return again === null ? { type: 'DONE' } : { type: 'AGAIN', afterMs: again };
  }

  /** The barrier before a machine starts: its hosts have what its ports need. Dead hosts are caught up later. */
  async realised(context: AnyContext, places: readonly Place[], told?: string): Promise<Answer> {
    const parts = places.map(({ networkId, backendId }) => ({ partId: networkId, backendId }));
    return hostsHave(context, parts, (backendId) => this.network(backendId), 'The hosts are taking over the network.', told);
  }

  /**
   * The barrier before a machine starts again whose host may have been away.
   * @returns why to wait while the host of one of these ports lacks what the port needs; as everywhere, other hosts with ports of
   * the network are waited for while they live, and not once they are dead
   */
  async hostsCatchUp(context: AnyContext, portIds: readonly string[]): Promise<StepWait | null> {
    const rows = await context.reader.rows(findPorts, [...portIds]);
    const places = distinct(rows.map((row) => ({ networkId: row.network_id, backendId: row.backend_id })));
    const { again, pending } = await settleHosts(
      places.map(async ({ networkId, backendId }) => unlessMissing((await this.network(backendId)).realised(context.call(`${networkId}/realised`), networkId))),
    );
    if (again !== null) return wait({ afterMs: again, blocker: 'The hosts are taking over the network.' });
    const hosts = await context.reader.rows(findHosts, rows.map((row) => row.host_id));
    const isBehind = hosts.some((host) => pending.includes(host.name));
    return isBehind ? wait({ afterMs: BLOCKED_RETRY_MS, blocker: 'The host has not taken over its network since it is back.' }) : null;
  }

  async remove(
    context: AnyContext,
    parts: readonly { id: string; backendId: string }[],
    method: Removal,
    options: RemoveOptions,
  ): Promise<Answer> {
    const looksAgain = options.settle === true && context.step.memo === SETTLED;
    const suffix = looksAgain ? '/again' : '';
    try {
      const again = await settleAll(
        parts.map(async (part) => (await this.network(part.backendId))[method](context.call(`${part.id}${suffix}`), part.id)),
      );
      if (again !== null) return wait({ afterMs: again, blocker: 'The backend is removing it.', ...memoOf(context) });
    } catch (error) {
      // Something unknown to us still hangs on it, as a port that a lost call brought late: the sweep takes that away.
      if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE') throw error;
      const { code, message, fault } = error;
      return wait({ afterMs: BLOCKED_RETRY_MS, blocker: { code, message, fault }, ...memoOf(context) });
    }
    if (options.settle !== true || looksAgain || parts.length === 0) return done();
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has brought it back.', memo: SETTLED });
  }

  /**
   * For undos of several things, each of which goes after what builds on it: all of them, and once more after the settling
   * time, because calls for any of them may still be on their way. Uses the step's memo.
   */
  async removeInTurn(context: AnyContext, removals: readonly ((options: RemoveOptions) => Promise<Answer>)[]): Promise<Answer> {
    const settle = context.step.memo === SETTLED;
    for (const remove of removals) {
      const answer = await remove({ settle });
      if (answer.type === 'WAIT') return answer;
    }
    if (settle) return done();
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has brought something back.', memo: SETTLED });
  }

  async network(backendId: string): Promise<NetworkDriver> {
    return (await this.drivers.driver(backendId)).network;
  }
}

function memoOf(context: AnyContext): { memo?: string } {
  return context.step.memo === SETTLED ? { memo: SETTLED } : {};
}
