import { z } from 'zod';
import { defineOperation, type OperationKind } from '#operations';
import { findExternalNetworks } from '../external-network/external-network.sql.js';
import { findFloatingIps } from '../floating-ip/floating-ip.sql.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { findProviderRouters } from '../provider-router/provider-router.sql.js';
import { findRouters } from '../router/router.sql.js';

export const EDGE_REPAIR = 'network.router.repair';

const ids = z.array(z.string()).max(1);
const input = z.strictObject({ externalNetworkIds: ids, providerRouterIds: ids.default([]), routerIds: ids, floatingIpIds: ids });
type Input = z.output<typeof input>;

const present = (rows: readonly { id: string; lifecycle: string }[]): string[] =>
  rows.filter((row) => row.lifecycle === 'PRESENT').map((row) => row.id);

/** Tells a backend again of one external network, provider's router, router or floating IP. What has been deleted meanwhile is left out. */
export function edgeRepairOperation({ edge }: NetworkRealiser): OperationKind<unknown> {
  return defineOperation<Input>({
    kind: EDGE_REPAIR,
    version: 1,
    input,
    deadlineMs: 10 * 60_000,
    steps: [
      {
        name: 'external-networks',
        async run(context) {
          const rows = await context.reader.rows(findExternalNetworks, context.operation.input.externalNetworkIds);
          return edge.ensureExternalNetworks(context, present(rows), { force: true });
        },
      },
      {
        name: 'provider-routers',
        async run(context) {
          const rows = await context.reader.rows(findProviderRouters, context.operation.input.providerRouterIds);
          return edge.ensureProviderRouters(context, present(rows), { force: true });
        },
      },
      {
        name: 'routers',
        async run(context) {
          return edge.ensureRouters(context, present(await context.reader.rows(findRouters, context.operation.input.routerIds)), { force: true });
        },
      },
      {
        name: 'floating-ips',
        async run(context) {
          const rows = await context.reader.rows(findFloatingIps, context.operation.input.floatingIpIds);
          return edge.ensureFloatingIps(context, present(rows), { force: true });
        },
      },
    ],
  }) as OperationKind<unknown>;
}
