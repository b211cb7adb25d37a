import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet } from '#database';
import { defineOperation, lockResources, type OperationKind } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { failureOf } from '../network/network.operations.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { bury, ObjectKind } from '../tombstones.js';
import { failProviderRouter, findProviderRouters, providerRouterKept, providerRouterMade } from './provider-router.sql.js';

export const PROVIDER_ROUTER_CREATE = 'network.provider_router.create';
export const PROVIDER_ROUTER_DELETE = 'network.provider_router.delete';

const MINUTE_MS = 60_000;

const input = z.strictObject({ providerRouterId: z.string() });
type Input = z.output<typeof input>;

export function providerRouterOperations({ edge }: NetworkRealiser): OperationKind<unknown>[] {
  const create = defineOperation<Input>({
    kind: PROVIDER_ROUTER_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => edge.ensureProviderRouters(context, [context.operation.input.providerRouterId]),
        undo: (context) => edge.removeProviderRouters(context, [context.operation.input.providerRouterId], { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(providerRouterMade, operation.input.providerRouterId);
    },
    async onFailed(transaction, { operation, error }) {
      const { providerRouterId: id } = operation.input;
      const failed = await transaction.rows(failProviderRouter, id, JSON.stringify(failureOf(error, 'provider router')));
      await bury(transaction, ObjectKind.PROVIDER_ROUTER, failed, 'undone');
    },
    async readmit({ operation, reader }) {
      const [row] = await reader.rows(findProviderRouters, [operation.input.providerRouterId]);
      if (row?.lifecycle !== 'FAILED') {
        throw new MuonError('INVALID_STATE', 'Only a provider router whose making has failed can be made again.');
      }
      const changes = new ChangeSet().add(ADDRESS_CLAIMS, { action: 'REMAKE_PROVIDER_ROUTER', providerRouterId: row.id });
      lockResources(changes, operation.id, [row.id]);
      return changes;
    },
  });
  const remove = defineOperation<Input>({
    kind: PROVIDER_ROUTER_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => edge.removeProviderRouters(context, [context.operation.input.providerRouterId]),
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      const { providerRouterId: id } = operation.input;
      await apply(new ChangeSet().add(ADDRESS_CLAIMS, { action: 'REMOVE_PROVIDER_ROUTERS', providerRouterIds: [id] }));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(providerRouterKept, operation.input.providerRouterId);
    },
  });
  return [create, remove] as OperationKind<unknown>[];
}
