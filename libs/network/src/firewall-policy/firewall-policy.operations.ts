import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet } from '#database';
import { defineOperation, lockResources, wait, type OperationKind, type OperationStep, type StepContext } from '#operations';
import { failureOf } from '../network/network.operations.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { GROUP_CLAIMS } from '../security-group/group-claims.js';
import {
  failPolicy,
  findFirewallPolicies,
  policyKept,
  policyMade,
  raiseRevisionOfPolicy,
  removePolicy,
  restorePolicy,
} from './firewall-policy.sql.js';

export const FIREWALL_POLICY_CREATE = 'network.firewall_policy.create';
export const FIREWALL_POLICY_UPDATE = 'network.firewall_policy.update';
export const FIREWALL_POLICY_DELETE = 'network.firewall_policy.delete';

const MINUTE_MS = 60_000;
const REVERSED = 'reversed';

/** Whose ports the policy is about tells which backends must hear of it. */
const input = z.strictObject({ policyId: z.string(), tenantId: z.string().nullable() });
type Input = z.output<typeof input>;

const updateInput = input.extend({ before: z.strictObject({ position: z.int(), rules: z.array(z.json()) }) });
type UpdateInput = z.output<typeof updateInput>;

export function firewallPolicyOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), updateKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

type Commit = Parameters<typeof wait>[0]['commit'];

/** Tells all backends; to undo is to change the rows back, and to tell them again. */
function realising<Given extends Input>(realiser: NetworkRealiser, reverse: (context: StepContext<Given>) => Commit): OperationStep<Given> {
  return {
    name: 'realise',
    undoesAdmission: true,
    run: (context) => realiser.security.ensureFirewall(context, { tenantId: context.operation.input.tenantId }),
    async undo(context) {
      if (context.step.memo === undefined) {
        const commit = reverse(context);
        return wait({ afterMs: 0, blocker: 'What operators said before is being put back.', memo: REVERSED, ...(commit === undefined ? {} : { commit }) });
      }
      const result = await realiser.security.ensureFirewall(context, { tenantId: context.operation.input.tenantId });
      return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
    },
  };
}

function createKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: FIREWALL_POLICY_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      realising<Input>(realiser, ({ operation }) => async (transaction) => {
        await transaction.execute(failPolicy, operation.input.policyId, null);
        await transaction.execute(raiseRevisionOfPolicy, operation.input.policyId);
      }),
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(policyMade, operation.input.policyId);
    },
    async onFailed(transaction, { operation, error }) {
      await transaction.execute(failPolicy, operation.input.policyId, JSON.stringify(failureOf(error, 'firewall policy')));
    },
    async readmit({ operation, reader }) {
      const { policyId } = operation.input;
      const [row] = await reader.rows(findFirewallPolicies, [policyId]);
      if (row?.lifecycle !== 'FAILED') {
        throw new MuonError('INVALID_STATE', 'Only a firewall policy whose making has failed can be made again.');
      }
      const changes = new ChangeSet().add(GROUP_CLAIMS, { action: 'REMAKE_POLICY', policyId });
      lockResources(changes, operation.id, [policyId]);
      return changes;
    },
  });
}

function updateKind(realiser: NetworkRealiser): OperationKind<UpdateInput> {
  return defineOperation<UpdateInput>({
    kind: FIREWALL_POLICY_UPDATE,
    version: 1,
    input: updateInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      realising<UpdateInput>(realiser, ({ operation }) => async (transaction) => {
        const { policyId, before } = operation.input;
        await transaction.execute(restorePolicy, policyId, before.position, JSON.stringify(before.rules));
        await transaction.execute(raiseRevisionOfPolicy, policyId);
      }),
    ],
  });
}

function deleteKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: FIREWALL_POLICY_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        // Called off before it began; others may have told the backends without it since.
        ...realising<Input>(realiser, ({ operation }) => async (transaction) => {
          await transaction.execute(policyKept, operation.input.policyId);
          await transaction.execute(raiseRevisionOfPolicy, operation.input.policyId);
        }),
        pivot: true,
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(removePolicy, operation.input.policyId);
    },
    // Given up by an operator, where the undo has not put it back: it is in force again.
    async onFailed(transaction, { operation, abandoned }) {
      if (abandoned === null) return;
      await transaction.execute(policyKept, operation.input.policyId);
      await transaction.execute(raiseRevisionOfPolicy, operation.input.policyId);
    },
  });
}
