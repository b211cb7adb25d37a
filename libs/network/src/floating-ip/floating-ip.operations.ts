import { z } from 'zod';
import { ChangeSet } from '#database';
import { defineOperation, wait, type OperationKind } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { findLoadBalancers } from '../load-balancer/load-balancer.sql.js';
import { findPorts } from '../port/port.sql.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import type { FloatingTarget } from './floating-ip.js';
import { planFloatingIpRemoval } from './floating-ip-plan.js';
import { floatingIpKept } from './floating-ip.sql.js';

export const FLOATING_IP_ASSOCIATE = 'network.floating_ip.associate';
export const FLOATING_IP_DISSOCIATE = 'network.floating_ip.dissociate';
export const FLOATING_IP_DELETE = 'network.floating_ip.delete';

const MINUTE_MS = 60_000;
const REVERSED = 'reversed';

const input = z.strictObject({ floatingIpId: z.string() });
type Input = z.output<typeof input>;

/** Where it led before. */
const changeInput = input.extend({
  before: z.strictObject({ networkId: z.string(), portId: z.string().nullable(), loadBalancerId: z.string().nullable() }).nullable(),
});
type ChangeInput = z.output<typeof changeInput>;

export function floatingIpOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [changeKind(FLOATING_IP_ASSOCIATE, realiser), changeKind(FLOATING_IP_DISSOCIATE, realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

export function planPointing(floatingIpId: string, target: FloatingTarget | null, version: number | null): ChangeSet {
  const { networkId, portId, loadBalancerId } = target ?? { networkId: null, portId: null, loadBalancerId: null };
  return new ChangeSet().add(ADDRESS_CLAIMS, { action: 'POINT_FLOATING_IP', floatingIpId, networkId, portId, loadBalancerId, version });
}

function changeKind(kind: string, { edge }: NetworkRealiser): OperationKind<ChangeInput> {
  return defineOperation<ChangeInput>({
    kind,
    version: 1,
    input: changeInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => edge.ensureFloatingIps(context, [context.operation.input.floatingIpId]),
        async undo(context) {
          const { floatingIpId: id, before } = context.operation.input;
          if (context.step.memo === undefined) {
            // What it led to may have gone meanwhile.
            const isThere =
              before === null ||
              (before.portId !== null
                ? (await context.reader.rows(findPorts, [before.portId])).length > 0
                : (await context.reader.rows(findLoadBalancers, [before.loadBalancerId ?? ''])).length > 0);
            return wait({
              afterMs: 0,
              blocker: 'The floating IP is being led to where it led before.',
              memo: REVERSED,
              commit: (_transaction, apply) => apply(planPointing(id, isThere ? before : null, null)),
            });
          }
          const result = await edge.ensureFloatingIps(context, [id]);
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
  });
}

function deleteKind({ edge }: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: FLOATING_IP_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => edge.removeFloatingIps(context, [context.operation.input.floatingIpId]),
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      await apply(planFloatingIpRemoval([operation.input.floatingIpId]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(floatingIpKept, operation.input.floatingIpId);
    },
  });
}
