import { z } from 'zod';
import type { Reader } from '#database';
import { defineOperation, done, wait, type OperationKind } from '#operations';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { isLeaving, lookingAgain, whyLost } from '../realise/places.js';
import { requireTakesFloatingIps } from '../router/edge-claims.js';
import { findRouters, findRoutersOfNetworks } from '../router/router.sql.js';
import type { FloatingIpRow, FloatingTarget } from './floating-ip.js';
import { planFloatingIpRemoval, planPointing, reachableTarget, requireSameNetwork } from './floating-ip-plan.js';
import { findFloatingIps, floatingIpKept } from './floating-ip.sql.js';

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
            const [row] = await context.reader.rows(findFloatingIps, [id]);
            if (row === undefined) return done();
            const lost = before === null ? null : await whyLost(targetAgain(context.reader, row, before));
            const reversed = await planPointing(context.reader, row, lost === null ? before : null, null);
            return wait({
              afterMs: 0,
              blocker: lost !== null ? 'What the floating IP led to before is not to be had any more: it leads nowhere.' : 'The floating IP is being led to where it led before.',
              memo: REVERSED,
              notRestored: lost === null ? [] : [{ resourceId: id, message: `The floating IP leads nowhere, and not to where it led before. ${lost}` }],
              commit: (_transaction, apply) => lookingAgain(apply(reversed)),
            });
          }
          const [row] = await context.reader.rows(findFloatingIps, [id]);
          if (isLeaving(row)) return done();
          const result = await edge.ensureFloatingIps(context, [id]);
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
  });
}

/** Whether it can lead to where it led before. @throws as `reachableTarget` does, when it cannot lead there any more */
async function targetAgain(reader: Reader, row: FloatingIpRow, before: FloatingTarget): Promise<void> {
  const request = before.portId === null ? { loadBalancerId: before.loadBalancerId ?? '' } : { portId: before.portId };
  const found = await reachableTarget(reader, row.project_id, request, { field: 'input', floatingIpId: row.id });
  await requireSameNetwork(reader, found, row, 'input');
  const routers = (await reader.rows(findRoutersOfNetworks, [before.networkId])).map((link) => link.router_id);
  for (const router of await reader.rows(findRouters, routers)) requireTakesFloatingIps(router);
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
