import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet, type Reader } from '#database';
import { defineOperation, done, lockResources, wait, type OperationKind, type Unrestored } from '#operations';
import { CHARGES } from '#quota';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { failureOf } from '../network/network.operations.js';
import { lockScopes } from '../network/network-plan.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { isLeaving } from '../realise/places.js';
import { bury, ObjectKind } from '../tombstones.js';
import { planLoadBalancerRemoval, planLoadBalancerRetry, planMemberChange } from './load-balancer-plan.js';
import { failLoadBalancer, findLoadBalancers, findMembers, loadBalancerKept, loadBalancerMade } from './load-balancer.sql.js';

export const LOAD_BALANCER_CREATE = 'network.load_balancer.create';
export const LOAD_BALANCER_UPDATE = 'network.load_balancer.update';
export const LOAD_BALANCER_DELETE = 'network.load_balancer.delete';

const MINUTE_MS = 60_000;
const REVERSED = 'reversed';

const input = z.strictObject({ loadBalancerId: z.string() });
type Input = z.output<typeof input>;

/** Ports that the change really added and removed. */
const updateInput = input.extend({ added: z.array(z.string()), removed: z.array(z.string()) });
type UpdateInput = z.output<typeof updateInput>;

export function loadBalancerOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), updateKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

function createKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: LOAD_BALANCER_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => realiser.ensureLoadBalancers(context, [context.operation.input.loadBalancerId]),
        undo: (context) => realiser.removeLoadBalancers(context, [context.operation.input.loadBalancerId], { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(loadBalancerMade, operation.input.loadBalancerId);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { loadBalancerId: id } = operation.input;
      const failed = await transaction.rows(failLoadBalancer, id, JSON.stringify(failureOf(error, 'load balancer')));
      await bury(transaction, ObjectKind.LOAD_BALANCER, failed, 'undone');
      const given = new ChangeSet().add(ADDRESS_CLAIMS, { action: 'RELEASE', ownerIds: [id] });
      await apply(given.add(CHARGES, { action: 'REFUND', resourceId: id }));
    },
    async readmit({ operation, reader }) {
      const [row] = await reader.rows(findLoadBalancers, [operation.input.loadBalancerId]);
      if (row?.lifecycle !== 'FAILED') {
        throw new MuonError('INVALID_STATE', 'Only a load balancer whose making has failed can be made again.');
      }
      const changes = await planLoadBalancerRetry(reader, row);
      lockScopes(changes, { tenantId: row.tenant_id, projectId: row.project_id }, 'ACTIVE');
      lockResources(changes, operation.id, [row.id]);
      return changes;
    },
  });
}

function updateKind(realiser: NetworkRealiser): OperationKind<UpdateInput> {
  return defineOperation<UpdateInput>({
    kind: LOAD_BALANCER_UPDATE,
    version: 1,
    input: updateInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => realiser.ensureLoadBalancers(context, [context.operation.input.loadBalancerId]),
        async undo(context) {
          const { loadBalancerId: id, added, removed } = context.operation.input;
          if (context.step.memo === undefined) {
            return wait({
              afterMs: 0,
              blocker: 'The members of before are being put back.',
              memo: REVERSED,
              commit: (_transaction, apply) => apply(planMemberChange(id, { add: removed, remove: added })),
            });
          }
          const [row] = await context.reader.rows(findLoadBalancers, [id]);
          if (isLeaving(row)) return done();
          const result = { ...(await realiser.ensureLoadBalancers(context, [id])), notRestored: await goneMembers(context.reader, id, removed) };
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
  });
}

/** Ports that were members before, and are not again. */
async function goneMembers(reader: Reader, id: string, before: readonly string[]): Promise<Unrestored[]> {
  const members = new Set((await reader.rows(findMembers, [id])).map((member) => member.port_id));
  return before.filter((portId) => !members.has(portId)).map((portId) => ({ resourceId: portId, message: 'The port is not a member again: it is gone.' }));
}

function deleteKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: LOAD_BALANCER_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => realiser.removeLoadBalancers(context, [context.operation.input.loadBalancerId]),
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      await apply(planLoadBalancerRemoval([operation.input.loadBalancerId]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(loadBalancerKept, operation.input.loadBalancerId);
    },
  });
}
