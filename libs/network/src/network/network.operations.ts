import { z } from 'zod';
import { MuonError, type ErrorRecord } from '#core';
import { ChangeSet } from '#database';
import { CHARGES, type Charge } from '#quota';
import { defineOperation, done, lockResources, wait, type OperationKind } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { NETWORK_COUNT } from '../quota-keys.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { bury, networkPartsOf, ObjectKind } from '../tombstones.js';
import { networkId } from './network.js';
import { lockScopes } from './network-plan.js';
import {
  countNetworkUsers,
  findNetworks,
  networkFailed,
  networkKept,
  networkMade,
  networkRemoving,
  removeNetwork,
} from './network.sql.js';

export const NETWORK_CREATE = 'network.network.create';
export const NETWORK_DELETE = 'network.network.delete';

const MINUTE_MS = 60_000;
/** A deletion waits for the last user for as long as it takes: the pivot comes after. */
const PATIENCE_MS = 3650 * 24 * 60 * MINUTE_MS;
const USERS_LOOK_MS = 2000;

const input = z.strictObject({ networkId: z.string() });
type Input = z.output<typeof input>;

/** What is shown of a creation that was called off. */
export function failureOf(error: ErrorRecord | null, noun: string): ErrorRecord {
  return error ?? new MuonError('CANCELLED', `The making of the ${noun} was cancelled.`).toRecord();
}

export function refundOf(resourceIds: readonly string[]): ChangeSet {
  return new ChangeSet().add(CHARGES, ...resourceIds.map((resourceId): Charge => ({ action: 'REFUND', resourceId })));
}

export function networkOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

function createKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: NETWORK_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => realiser.ensureNetworks(context, [context.operation.input.networkId]),
        undo: (context) => realiser.removeNetworks(context, [context.operation.input.networkId], { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(networkMade, operation.input.networkId);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { networkId: id } = operation.input;
      await bury(transaction, ObjectKind.NETWORK, await networkPartsOf(transaction, id), 'undone');
      await transaction.execute(networkFailed, id, JSON.stringify(failureOf(error, 'network')));
      await apply(refundOf([id]));
    },
    async readmit({ operation, reader }) {
      const [network] = await reader.rows(findNetworks, [operation.input.networkId]);
      if (network === undefined || network.lifecycle !== 'FAILED') {
        throw new MuonError('INVALID_STATE', 'Only a network whose making has failed can be made again.');
      }
      const changes = new ChangeSet().add(ADDRESS_CLAIMS, { action: 'REMAKE_NETWORK', networkId: network.id });
      lockScopes(changes, { tenantId: network.tenant_id, projectId: network.project_id }, 'ACTIVE');
      lockResources(changes, operation.id, [network.id]);
      return changes.add(CHARGES, {
        action: 'CHARGE',
        resourceId: network.id,
        resourceKind: networkId.prefix,
        tenantId: network.tenant_id,
        projectId: network.project_id,
        zoneId: null,
        amounts: { [NETWORK_COUNT]: 1 },
      });
    },
  });
}

function deleteKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: NETWORK_DELETE,
    version: 1,
    input,
    deadlineMs: PATIENCE_MS,
    steps: [
      {
        name: 'await-last-user',
        async run(context) {
          const { networkId: id } = context.operation.input;
          const users = await context.reader.first(countNetworkUsers, [id]);
          const { ports, load_balancers: loadBalancers, routers } = users ?? { ports: 0, load_balancers: 0, routers: 0 };
          if (ports + loadBalancers + routers > 0) {
            const link = routers === 0 ? '' : ', and it is on a router';
            const message = `${ports} ports and ${loadBalancers} load balancers still use the network${link}.`;
            const remedy = 'Delete what uses it, or cancel the deletion.';
            const blocker = { code: 'INVALID_STATE' as const, message, fault: 'USER' as const, remedy, data: { ports, loadBalancers, routers } };
            return wait({ afterMs: USERS_LOOK_MS, blocker });
          }
          return done({ commit: async (transaction) => void (await transaction.execute(networkRemoving, id)) });
        },
      },
      {
        name: 'remove',
        pivot: true,
        run: (context) => realiser.removeNetworks(context, [context.operation.input.networkId]),
      },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { networkId: id } = operation.input;
      await bury(transaction, ObjectKind.NETWORK, await networkPartsOf(transaction, id), 'deleted');
      await transaction.execute(removeNetwork, id);
      await apply(refundOf([id]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(networkKept, operation.input.networkId);
    },
  });
}
