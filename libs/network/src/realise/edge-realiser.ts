import { MuonError } from '#core';
import type { Outcome } from '#drivers';
import { done, wait, type StepWait } from '#operations';
import { findExternalNetworks, markExternalNetworksRealised } from '../external-network/external-network.sql.js';
import { findFloatingIpRouters, findFloatingIps, markFloatingIpsRealised } from '../floating-ip/floating-ip.sql.js';
import { findProviderRouters, markProviderRoutersRealised } from '../provider-router/provider-router.sql.js';
import { findNetworksOfRouters, findRouters, findRoutersOfNetworks, markRoutersRealised } from '../router/router.sql.js';
import { afterBarrier } from './barrier.js';
import {
  externalNetworkSpecifications,
  floatingParts,
  gatewayHostsOf,
  providerRouterSpecifications,
  routerSpecifications,
  type FloatingPart,
} from './edge-specifications.js';
import { isMissing, settleAll } from './outcomes.js';
import { at, forget, requireAll, TOLD_AGAIN, type AnyContext, type Answer, type Place, type RealisedNetworks, type RemoveOptions } from './places.js';

type Blocker = Exclude<StepWait['blocker'], string>;

interface EnsureOptions {
  /** Also where they are known to be so. */
  force?: boolean;
}

/** What a backend does not have any more, by what builds on it. */
interface Lost {
  networks: Place[];
  outside: string[];
  providers: string[];
}

const BLOCKED_RETRY_MS = 1000;

/**
 * What another change is just taking away still stands in the way: a network that leaves its router for this one, a
 * floating IP that a lost call brought late.
 * @returns as `settleAll` does, with the reason to wait where something is in the way
 */
async function settleUnlessBlocked(calls: readonly Promise<Outcome<unknown>>[]): Promise<{ afterMs: number; blocker?: Blocker } | null> {
  try {
    const again = await settleAll(calls);
    return again === null ? null : { afterMs: again };
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE') throw error;
    const { code, message, fault } = error;
    return { afterMs: BLOCKED_RETRY_MS, blocker: { code, message, fault } };
  }
}

/** Makes backends equal to the rows of external networks, routers and floating IPs: as `NetworkRealiser`, which it is a part of. */
export class EdgeRealiser {
  constructor(private readonly networks: RealisedNetworks) {}

  async ensureExternalNetworks(context: AnyContext, ids: readonly string[], options: EnsureOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findExternalNetworks, [...ids]);
    requireAll('external network', ids, rows);
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const specifications = await externalNetworkSpecifications(context.reader, behind);
    const again = await settleAll(
      behind.map(async (row, index) => {
        const driver = await this.networks.network(row.backend_id);
        return driver.ensureExternalNetwork(context.call(`${row.id}/${row.desired_revision}`), specifications[index] as (typeof specifications)[number]);
      }),
    );
    if (again !== null) return wait({ afterMs: again, blocker: 'The backend is making the external network.' });
    const realised = JSON.stringify(behind.map((row) => ({ id: row.id, revision: row.desired_revision })));
    return done({ commit: async (transaction) => void (behind.length > 0 && (await transaction.execute(markExternalNetworksRealised, realised))) });
  }

  async removeExternalNetworks(context: AnyContext, ids: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findExternalNetworks, [...ids]);
    return this.networks.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removeExternalNetwork', options);
  }

  /** Makes these provider's routers real, and waits until the live hosts that may lead them have them. */
  async ensureProviderRouters(context: AnyContext, ids: readonly string[], options: EnsureOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findProviderRouters, [...ids]);
    requireAll('provider router', ids, rows);
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const specifications = await providerRouterSpecifications(context.reader, behind);
    const lost: string[] = [];
    const again = await settleUnlessBlocked(
      behind.map(async (row, index) => {
        const driver = await this.networks.network(row.backend_id);
        try {
          const call = context.call(`${row.id}/${row.desired_revision}`);
          return await driver.ensureProviderRouter(call, specifications[index] as (typeof specifications)[number]);
        } catch (error) {
          if (!isMissing(error) || context.step.memo === TOLD_AGAIN) throw error;
          lost.push(row.external_network_id);
          return { state: 'DONE' as const, value: undefined };
        }
      }),
    );
    if (lost.length > 0) return this.#tellAgain(context, { networks: [], outside: lost, providers: [] });
    if (again !== null) return wait({ blocker: 'The backend is making the provider router.', ...again });
    const realised = JSON.stringify(
      behind.map((row, index) => ({ id: row.id, revision: row.desired_revision, gatewayHosts: specifications[index]?.gatewayHostNames ?? [] })),
    );
    const barrier = await this.networks.realised(context, rows.map((row) => ({ networkId: row.id, backendId: row.backend_id })), realised);
    if (barrier.type === 'WAIT') return barrier;
    return afterBarrier(barrier, async (transaction) => void (behind.length > 0 && (await transaction.execute(markProviderRoutersRealised, realised))));
  }

  async removeProviderRouters(context: AnyContext, ids: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findProviderRouters, [...ids]);
    return this.networks.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removeProviderRouter', options);
  }

  /** Makes these routers real, with their networks first, and waits until the live hosts have them. */
  async ensureRouters(context: AnyContext, routerIds: readonly string[], options: EnsureOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findRouters, [...routerIds]);
    requireAll('router', routerIds, rows);
    const backends = new Map(rows.map((row) => [row.id, row.backend_id]));
    const attached = await context.reader.rows(findNetworksOfRouters, [...routerIds]);
    const places = attached.map((row): Place => ({ networkId: row.network_id, backendId: backends.get(row.router_id) ?? '' }));
    const prepared = await this.networks.ensureAt(context, places);
    if (prepared.type === 'WAIT') return prepared;
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const specifications = await routerSpecifications(context.reader, behind);
    const lost: Lost = { networks: [], outside: [], providers: [] };
    const again = await settleUnlessBlocked(
      behind.map(async (row, index) => {
        const driver = await this.networks.network(row.backend_id);
        try {
          const call = context.call(`${row.id}/${row.desired_revision}`);
          return await driver.ensureRouter(call, specifications[index] as (typeof specifications)[number]);
        } catch (error) {
          if (!isMissing(error) || context.step.memo === TOLD_AGAIN) throw error;
          lost.networks.push(...places.filter((_, place) => attached[place]?.router_id === row.id));
          if (row.external_network_id !== null) lost.outside.push(row.external_network_id);
          if (row.provider_router_id !== null) lost.providers.push(row.provider_router_id);
          return { state: 'DONE' as const, value: undefined };
        }
      }),
    );
    if (Object.values(lost).some((each) => each.length > 0)) return this.#tellAgain(context, lost);
    if (again !== null) return wait({ blocker: 'The backend is making the router.', ...again });
    const realised = JSON.stringify(
      behind.map((row, index) => ({ id: row.id, revision: row.desired_revision, gatewayHosts: gatewayHostsOf(at(specifications, index)) })),
    );
    const barrier = await this.networks.realised(context, rows.map((row) => ({ networkId: row.id, backendId: row.backend_id })), realised);
    if (barrier.type === 'WAIT') return barrier;
    return afterBarrier(barrier, async (transaction, apply) => {
      await prepared.commit?.(transaction, apply);
      if (behind.length > 0) await transaction.execute(markRoutersRealised, realised);
    });
  }

  /** The backend has lost what the router builds on: it is told again before the step goes on. */
  async #tellAgain(context: AnyContext, { networks, outside, providers }: Lost): Promise<Answer> {
    const told = (await this.#tellProvidersAgain(context, providers)) ?? (await this.ensureExternalNetworks(context, [...new Set(outside)], { force: true }));
    return told.type === 'WAIT' ? told : forget(networks);
  }

  /** With their external networks first. @returns why to wait */
  async #tellProvidersAgain(context: AnyContext, providerRouterIds: readonly string[]): Promise<Answer | null> {
    const rows = await context.reader.rows(findProviderRouters, [...new Set(providerRouterIds)]);
    const outside = await this.ensureExternalNetworks(context, [...new Set(rows.map((row) => row.external_network_id))], { force: true });
    if (outside.type === 'WAIT') return outside;
    const told = await this.ensureProviderRouters(context, rows.map((row) => row.id), { force: true });
    return told.type === 'WAIT' ? told : null;
  }

  /** The routers that these networks are on, told again with the links that a network which was lost took along. */
  async ensureRoutersOf(context: AnyContext, networkIds: readonly string[]): Promise<Answer> {
    const ids = [...new Set((await context.reader.rows(findRoutersOfNetworks, [...networkIds])).map((row) => row.router_id))];
    const present = (await context.reader.rows(findRouters, ids)).filter((row) => row.lifecycle === 'PRESENT').map((row) => row.id);
    return present.length === 0 ? done() : this.ensureRouters(context, present, { force: true });
  }

  async removeRouters(context: AnyContext, routerIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findRouters, [...routerIds]);
    return this.networks.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removeRouter', options);
  }

  /** Leads these floating IPs to what their rows say now; those that lead nowhere are on no backend afterwards. */
  async ensureFloatingIps(context: AnyContext, floatingIpIds: readonly string[], options: EnsureOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findFloatingIps, [...floatingIpIds]);
    requireAll('floating IP', floatingIpIds, rows);
    const behind = rows.filter((row) => options.force === true || row.realised_revision < row.desired_revision);
    const parts = await floatingParts(context.reader, behind);
    const lost: FloatingPart[] = [];
    const again = await settleUnlessBlocked(
      parts.map(async (part) => {
        const { row, backendId, specification } = part;
        const driver = await this.networks.network(backendId);
        const call = context.call(`${row.id}/${row.desired_revision}`);
        if (specification === null) return driver.removeFloatingIp(call, row.id);
        try {
          return await driver.ensureFloatingIp(call, specification);
        } catch (error) {
          if (!isMissing(error) || context.step.memo === TOLD_AGAIN) throw error;
          lost.push(part);
          return { state: 'DONE' as const, value: undefined };
        }
      }),
    );
    if (lost.length > 0) return this.#tellTargetsAgain(context, lost);
    if (again !== null) return wait({ blocker: 'The backend is leading the address to its target.', ...again });
    const routers = new Map(
      parts.flatMap(({ backendId, specification }) =>
        specification === null ? [] : [[specification.routerId, { networkId: specification.routerId, backendId }] as const],
      ),
    );
    const realised = JSON.stringify(behind.map((row) => ({ id: row.id, revision: row.desired_revision })));
    const barrier = await this.networks.realised(context, [...routers.values()], realised);
    if (barrier.type === 'WAIT') return barrier;
    return afterBarrier(barrier, async (transaction) => void (behind.length > 0 && (await transaction.execute(markFloatingIpsRealised, realised))));
  }

  /** The backend has lost what these build on. */
  async #tellTargetsAgain(context: AnyContext, lost: readonly FloatingPart[]): Promise<Answer> {
    const specifications = lost.flatMap(({ specification }) => (specification === null ? [] : [specification]));
    const portIds = specifications.flatMap(({ target }) => (target.kind === 'PORT' ? [target.portId] : []));
    const balancerIds = specifications.flatMap(({ target }) => (target.kind === 'LOAD_BALANCER' ? [target.loadBalancerId] : []));
    const force = { force: true };
    const providers = specifications.flatMap(({ transit }) => (transit === undefined ? [] : [transit.providerRouterId]));
    const waiting = await this.#tellProvidersAgain(context, providers);
    if (waiting !== null) return waiting;
    for (const tell of [
      async () => this.networks.ensurePorts(context, portIds, force),
      async () => this.networks.ensureLoadBalancers(context, balancerIds, force),
      async () => this.ensureRouters(context, [...new Set(specifications.map(({ routerId }) => routerId))], force),
    ]) {
      const told = await tell();
      if (told.type === 'WAIT') return told;
    }
    return wait({ afterMs: 0, blocker: 'The backend has lost what the floating IP leads to; it is told again.', memo: TOLD_AGAIN });
  }

  async removeFloatingIps(context: AnyContext, floatingIpIds: readonly string[], options: RemoveOptions = {}): Promise<Answer> {
    const rows = await context.reader.rows(findFloatingIpRouters, [...floatingIpIds]);
    return this.networks.remove(context, rows.map((row) => ({ id: row.id, backendId: row.backend_id })), 'removeFloatingIp', options);
  }
}

