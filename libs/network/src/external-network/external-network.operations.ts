import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet } from '#database';
import { defineOperation, lockResources, type OperationKind } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { failureOf } from '../network/network.operations.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { bury, ObjectKind } from '../tombstones.js';
import { externalNetworkKept, externalNetworkMade, failExternalNetwork, findExternalNetworks } from './external-network.sql.js';

export const EXTERNAL_NETWORK_CREATE = 'network.external_network.create';
export const EXTERNAL_NETWORK_DELETE = 'network.external_network.delete';

const MINUTE_MS = 60_000;

const input = z.strictObject({ externalNetworkId: z.string() });
type Input = z.output<typeof input>;

export function externalNetworkOperations({ edge }: NetworkRealiser): OperationKind<unknown>[] {
  const create = defineOperation<Input>({
    kind: EXTERNAL_NETWORK_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => edge.ensureExternalNetworks(context, [context.operation.input.externalNetworkId]),
        undo: (context) => edge.removeExternalNetworks(context, [context.operation.input.externalNetworkId], { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(externalNetworkMade, operation.input.externalNetworkId);
    },
    async onFailed(transaction, { operation, error }) {
      const { externalNetworkId: id } = operation.input;
      const failed = await transaction.rows(failExternalNetwork, id, JSON.stringify(failureOf(error, 'external network')));
      await bury(transaction, ObjectKind.EXTERNAL_NETWORK, failed, 'undone');
    },
    async readmit({ operation, reader }) {
      const [row] = await reader.rows(findExternalNetworks, [operation.input.externalNetworkId]);
      if (row?.lifecycle !== 'FAILED') {
        throw new MuonError('INVALID_STATE', 'Only an external network whose making has failed can be made again.');
      }
      const changes = new ChangeSet().add(ADDRESS_CLAIMS, { action: 'REMAKE_EXTERNAL_NETWORK', externalNetworkId: row.id });
      lockResources(changes, operation.id, [row.id]);
      return changes;
    },
  });
  const remove = defineOperation<Input>({
    kind: EXTERNAL_NETWORK_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => edge.removeExternalNetworks(context, [context.operation.input.externalNetworkId]),
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      const { externalNetworkId: id } = operation.input;
      await apply(new ChangeSet().add(ADDRESS_CLAIMS, { action: 'REMOVE_EXTERNAL_NETWORKS', externalNetworkIds: [id] }));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(externalNetworkKept, operation.input.externalNetworkId);
    },
  });
  return [create, remove] as OperationKind<unknown>[];
}
