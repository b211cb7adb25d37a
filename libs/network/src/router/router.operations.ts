import { z } from 'zod';
import { MuonError } from '#core';
import type { Reader } from '#database';
import { defineOperation, done, lockResources, wait, type OperationKind, type UndoResult } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { failureOf, refundOf } from '../network/network.operations.js';
import { lockScopes } from '../network/network-plan.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { isLeaving, lookingAgain } from '../realise/places.js';
import { bury, ObjectKind } from '../tombstones.js';
import type { RouterRow } from './router.js';
import { planHeldRelease, type RouterChange } from './router-change.js';
import { planRouterRemoval, planRouterRetry } from './router-plan.js';
import { planRouterReversal } from './router-reversal.js';
import { failRouter, findRouters, routerKept, routerMade } from './router.sql.js';

export const ROUTER_CREATE = 'network.router.create';
export const ROUTER_UPDATE = 'network.router.update';
export const ROUTER_DELETE = 'network.router.delete';

const MINUTE_MS = 60_000;
const REVERSED = 'reversed';
const NEEDED_LOOK_MS = 1000;

const input = z.strictObject({ routerId: z.string() });
type Input = z.output<typeof input>;

const wanted = z.strictObject({
  description: z.string(),
  externalNetworkId: z.string().nullable(),
  externalAddress: z.string().nullable(),
  providerRouterId: z.string().nullable().default(null),
  transitAddress: z.string().nullable().default(null),
  sourceNat: z.boolean(),
});
const links = z.array(z.strictObject({ networkId: z.string(), link: z.int() }));
/** What the change really does, and what was before. */
const updateInput = input.extend({ attached: links, detached: links, before: wanted });
type UpdateInput = z.output<typeof updateInput>;

export function routerOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), updateKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

function createKind({ edge }: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: ROUTER_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => edge.ensureRouters(context, [context.operation.input.routerId]),
        undo: (context) => edge.removeRouters(context, [context.operation.input.routerId], { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(routerMade, operation.input.routerId);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { routerId: id } = operation.input;
      const failed = await transaction.rows(failRouter, id, JSON.stringify(failureOf(error, 'router')));
      await bury(transaction, ObjectKind.ROUTER, failed, 'undone');
      await apply(refundOf([id]).add(ADDRESS_CLAIMS, { action: 'RELEASE_EXTERNAL', ownerIds: [id] }));
    },
    async readmit({ operation, reader }) {
      const [row] = await reader.rows(findRouters, [operation.input.routerId]);
      if (row?.lifecycle !== 'FAILED') throw new MuonError('INVALID_STATE', 'Only a router whose making has failed can be made again.');
      const changes = await planRouterRetry(reader, row);
      lockScopes(changes, { tenantId: row.tenant_id, projectId: row.project_id }, 'ACTIVE');
      lockResources(changes, operation.id, [row.id]);
      return changes;
    },
  });
}

function updateKind({ edge }: NetworkRealiser): OperationKind<UpdateInput> {
  return defineOperation<UpdateInput>({
    kind: ROUTER_UPDATE,
    version: 1,
    input: updateInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => edge.ensureRouters(context, [context.operation.input.routerId]),
        async undo(context) {
          const { routerId, attached, detached, before } = context.operation.input;
          const [row] = await context.reader.rows(findRouters, [routerId]);
          if (row === undefined) return done();
          if (context.step.memo === undefined) return takeBack(context.reader, row, { attach: detached, detach: attached, wanted: before });
          if (isLeaving(row)) return done();
          const result = await edge.ensureRouters(context, [routerId]);
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      await apply(planHeldRelease(operation.input.routerId));
    },
    async onFailed(transaction, { operation, apply }) {
      const { routerId } = operation.input;
      const [row] = await transaction.rows(findRouters, [routerId]);
      // While it is there, its backend may answer at what is held.
      if (!isLeaving(row)) await apply(planHeldRelease(routerId));
    },
  });
}

async function takeBack(reader: Reader, row: RouterRow, change: RouterChange): Promise<UndoResult> {
  const reversal = await planRouterReversal(reader, row, change);
  if (reversal.needed !== null) return wait({ afterMs: NEEDED_LOOK_MS, blocker: reversal.needed });
  const without = reversal.lost.length === 0 ? '' : `, without networks that it cannot have any more: ${reversal.lost.map(({ networkId }) => networkId).join(', ')}`;
  return wait({
    afterMs: 0,
    blocker: `The router is being put back as it was${without}.`,
    memo: REVERSED,
    notRestored: reversal.lost.map(({ networkId, reason }) => ({ resourceId: networkId, message: `The network is not on the router again. ${reason}` })),
    commit: (_transaction, apply) => lookingAgain(apply(reversal.changes)),
  });
}

function deleteKind({ edge }: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: ROUTER_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => edge.removeRouters(context, [context.operation.input.routerId]),
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      await apply(planRouterRemoval([operation.input.routerId]));
    },
    async onFailed(transaction, { operation, apply }) {
      await transaction.execute(routerKept, operation.input.routerId);
      await apply(planHeldRelease(operation.input.routerId));
    },
  });
}
