import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet, type Transaction } from '#database';
import { defineOperation, done, lockResources, wait, type ApplyChanges, type OperationKind } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { failureOf } from '../network/network.operations.js';
import { lockScopes } from '../network/network-plan.js';
import { findNetworks, raiseNetworkRevision } from '../network/network.sql.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { isLeaving } from '../realise/places.js';
import { findSubnets, moveSubnet, removeSubnet } from './subnet.sql.js';

export const SUBNET_CREATE = 'network.subnet.create';
export const SUBNET_DELETE = 'network.subnet.delete';

const MINUTE_MS = 60_000;

const input = z.strictObject({ subnetId: z.string(), networkId: z.string() });
type Input = z.output<typeof input>;

export function subnetOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

function createKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: SUBNET_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => realiser.ensureNetworks(context, [context.operation.input.networkId]),
        async undo(context) {
          const { subnetId, networkId } = context.operation.input;
          const [subnet] = await context.reader.rows(findSubnets, [subnetId]);
          if (subnet?.lifecycle !== 'CREATING') return realiser.ensureNetworks(context, [networkId]);
          // Backends take only what is newer: first the network gets a revision without the subnet.
          return wait({
            afterMs: 0,
            blocker: 'The subnet is being taken out of the network.',
            commit: async (transaction) => {
              const moved = await transaction.rows(moveSubnet, subnetId, 'CREATING', 'FAILED', null);
              if (moved.length > 0) await transaction.execute(raiseNetworkRevision, [networkId]);
            },
          });
        },
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.rows(moveSubnet, operation.input.subnetId, 'CREATING', 'PRESENT', null);
    },
    async onFailed(transaction, { operation, error }) {
      const failure = JSON.stringify(failureOf(error, 'subnet'));
      for (const from of ['CREATING', 'FAILED']) await transaction.rows(moveSubnet, operation.input.subnetId, from, 'FAILED', failure);
    },
    async readmit({ operation, reader }) {
      const { subnetId, networkId } = operation.input;
      const [subnet] = await reader.rows(findSubnets, [subnetId]);
      if (subnet?.lifecycle !== 'FAILED') throw new MuonError('INVALID_STATE', 'Only a subnet whose making has failed can be made again.');
      const changes = new ChangeSet().add(
        ADDRESS_CLAIMS,
        { action: 'REMAKE_SUBNET', networkId, subnetId },
        { action: 'EXTEND_NETWORK', networkId },
      );
      lockScopes(changes, { tenantId: subnet.tenant_id, projectId: subnet.project_id }, 'ACTIVE');
      lockResources(changes, operation.id, [networkId, subnetId]);
      return changes;
    },
  });
}

function deleteKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: SUBNET_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        pivot: true,
        undoesAdmission: true,
        run: (context) => realiser.ensureNetworks(context, [context.operation.input.networkId]),
        // Called off before it began; others may have told the backends of the network without the subnet since.
        async undo(context) {
          const { subnetId, networkId } = context.operation.input;
          const [subnet] = await context.reader.rows(findSubnets, [subnetId]);
          if (subnet?.lifecycle === 'DELETING') {
            return wait({
              afterMs: 0,
              blocker: 'The subnet is being put back into the network.',
              commit: (transaction, apply) => keepSubnet(transaction, apply, subnetId, networkId),
            });
          }
          const [network] = await context.reader.rows(findNetworks, [networkId]);
          return isLeaving(network) ? done() : realiser.ensureNetworks(context, [networkId]);
        },
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(removeSubnet, operation.input.subnetId);
    },
    // Given up by an operator, where the undo has not put it back.
    async onFailed(transaction, { operation, apply }) {
      const { subnetId, networkId } = operation.input;
      await keepSubnet(transaction, apply, subnetId, networkId);
    },
  });
}

/** It is not deleted after all: it is what it was before, and the backends of its network are to be told again. */
async function keepSubnet(transaction: Transaction, apply: ApplyChanges, subnetId: string, networkId: string): Promise<void> {
  const [subnet] = await transaction.rows(findSubnets, [subnetId]);
  if (subnet?.lifecycle !== 'DELETING') return;
  const { failure } = subnet;
  await apply(new ChangeSet().add(ADDRESS_CLAIMS, { action: 'CHANGE_NETWORK', networkId }));
  await transaction.rows(moveSubnet, subnetId, 'DELETING', failure === null ? 'PRESENT' : 'FAILED', failure === null ? null : JSON.stringify(failure));
}
