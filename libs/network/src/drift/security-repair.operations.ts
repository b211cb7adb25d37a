import { z } from 'zod';
import { defineOperation, done, wait, type OperationKind } from '#operations';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { findGroupMembers, raiseRevisionOfMembers } from '../security-group/security-group.sql.js';

export const SECURITY_GROUP_REPAIR = 'network.security_group.repair';
export const FIREWALL_REPAIR = 'network.firewall.repair';

const DEADLINE_MS = 10 * 60_000;
const PORTS_AT_ONCE = 200;

const groupInput = z.strictObject({ securityGroupId: z.string(), backendId: z.string() });
type GroupInput = z.output<typeof groupInput>;
const firewallInput = z.strictObject({ backendId: z.string() });
type FirewallInput = z.output<typeof firewallInput>;

export function securityRepairOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [groupKind(realiser), firewallKind(realiser)] as OperationKind<unknown>[];
}

/** Tells a backend a group again, and each of its ports there that it is in it: with the group that was lost, too. */
function groupKind(realiser: NetworkRealiser): OperationKind<GroupInput> {
  return defineOperation<GroupInput>({
    kind: SECURITY_GROUP_REPAIR,
    version: 1,
    input: groupInput,
    deadlineMs: DEADLINE_MS,
    steps: [
      {
        // Before the group is there again, and looks as if nothing were missing.
        name: 'notice',
        async run(context) {
          const { securityGroupId, backendId } = context.operation.input;
          return done({ commit: async (transaction) => void (await transaction.execute(raiseRevisionOfMembers, [securityGroupId], backendId)) });
        },
      },
      {
        name: 'group',
        run: (context) => {
          const { securityGroupId, backendId } = context.operation.input;
          return realiser.security.ensureGroups(context, [securityGroupId], { force: true, backendId });
        },
      },
      {
        name: 'members',
        async run(context) {
          const { securityGroupId, backendId } = context.operation.input;
          const after = typeof context.step.memo === 'string' ? context.step.memo : '';
          const members = await context.reader.rows(findGroupMembers, securityGroupId, backendId, after, PORTS_AT_ONCE);
          const last = members.at(-1);
          if (last === undefined) return done();
          const result = await realiser.ensurePorts(context, members.map((member) => member.id));
          if (result.type === 'WAIT') return { ...result, memo: after };
          const { commit } = result;
          return wait({ afterMs: 0, blocker: 'More of its ports are being told.', memo: last.id, ...(commit === undefined ? {} : { commit }) });
        },
      },
    ],
  });
}

/** Tells a backend again what operators say of all its ports. */
function firewallKind(realiser: NetworkRealiser): OperationKind<FirewallInput> {
  return defineOperation<FirewallInput>({
    kind: FIREWALL_REPAIR,
    version: 1,
    input: firewallInput,
    deadlineMs: DEADLINE_MS,
    steps: [
      {
        name: 'realise',
        run: (context) => realiser.security.ensureFirewall(context, { force: true, backendId: context.operation.input.backendId }),
      },
    ],
  });
}
