import { z } from 'zod';
import { defineOperation, type OperationKind } from '#operations';
import { findLoadBalancers } from '../load-balancer/load-balancer.sql.js';
import { findPorts } from '../port/port.sql.js';
import { afterBarrier } from '../realise/barrier.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';

export const NETWORK_REPAIR = 'network.network.repair';
export const MAX_REPAIRED_PARTS = 500;

const ids = z.array(z.string()).max(MAX_REPAIRED_PARTS);
const input = z.strictObject({ networkId: z.string(), backendId: z.string(), portIds: ids, loadBalancerIds: ids });
type Input = z.output<typeof input>;

/** Tells a backend again what it shall have of one network. What has been deleted meanwhile is left out. */
export function repairOperation(realiser: NetworkRealiser): OperationKind<unknown> {
  return defineOperation<Input>({
    kind: NETWORK_REPAIR,
    version: 1,
    input,
    deadlineMs: 10 * 60_000,
    steps: [
      {
        name: 'network',
        async run(context) {
          const { networkId, backendId } = context.operation.input;
          const told = await realiser.ensureNetworks(context, [networkId], { force: true, backendId });
          if (told.type === 'WAIT') return told;
          const linked = await realiser.edge.ensureRoutersOf(context, [networkId]);
          if (linked.type === 'WAIT') return linked;
          return told.commit === undefined ? linked : afterBarrier(linked, told.commit);
        },
      },
      {
        name: 'ports',
        async run(context) {
          const rows = await context.reader.rows(findPorts, context.operation.input.portIds);
          const present = rows.filter((row) => row.lifecycle === 'PRESENT').map((row) => row.id);
          return realiser.ensurePorts(context, present, { force: true });
        },
      },
      {
        name: 'load-balancers',
        async run(context) {
          const rows = await context.reader.rows(findLoadBalancers, context.operation.input.loadBalancerIds);
          const present = rows.filter((row) => row.lifecycle === 'PRESENT').map((row) => row.id);
          return realiser.ensureLoadBalancers(context, present, { force: true });
        },
      },
    ],
  }) as OperationKind<unknown>;
}
