import { z } from 'zod';
import { ChangeSet, type Reader } from '#database';
import { defineOperation, done, wait, type OperationKind, type Unrestored } from '#operations';
import { refundOf } from '../network/network.operations.js';
import { findPorts } from '../port/port.sql.js';
import type { NetworkRealiser } from '../realise/network-realiser.js';
import { isLeaving } from '../realise/places.js';
import { bury, ObjectKind } from '../tombstones.js';
import { GROUP_CLAIMS } from './group-claims.js';
import { referencesOf, type SecurityGroupRow, type SecurityRule } from './security-group.js';
import { findGroupBackends, findGroupsOfPorts, findSecurityGroups, removeSecurityGroup, replaceReferences, restoreRules, securityGroupKept, shareSecurityGroups } from './security-group.sql.js';

export const SECURITY_GROUP_UPDATE = 'network.security_group.update';
export const SECURITY_GROUP_DELETE = 'network.security_group.delete';
export const PORT_SECURE = 'network.port.secure';

const MINUTE_MS = 60_000;
const REVERSED = 'reversed';

const input = z.strictObject({ securityGroupId: z.string() });
type Input = z.output<typeof input>;

/** The rules before the change. */
const updateInput = input.extend({ before: z.array(z.json()) });
type UpdateInput = z.output<typeof updateInput>;

/** Groups that the change really added and removed. */
const secureInput = z.strictObject({ portId: z.string(), added: z.array(z.string()), removed: z.array(z.string()) });
type SecureInput = z.output<typeof secureInput>;

export function securityGroupOperations(realiser: NetworkRealiser): OperationKind<unknown>[] {
  return [updateKind(realiser), deleteKind(realiser), secureKind(realiser)] as OperationKind<unknown>[];
}

function updateKind(realiser: NetworkRealiser): OperationKind<UpdateInput> {
  return defineOperation<UpdateInput>({
    kind: SECURITY_GROUP_UPDATE,
    version: 1,
    input: updateInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => realiser.security.ensureGroups(context, [context.operation.input.securityGroupId]),
        async undo(context) {
          const { securityGroupId: id, before } = context.operation.input;
          if (context.step.memo === undefined) {
            return wait({
              afterMs: 0,
              blocker: 'The rules of before are being put back.',
              memo: REVERSED,
              async commit(transaction) {
                const [row] = await transaction.rows(restoreRules, id, JSON.stringify(before));
                const named = referencesOf(row?.rules ?? []);
                const groups = await transaction.rows(shareSecurityGroups, named);
                // Who is on its way out is not held up: as if it were nobody already.
                const staying = groups.filter((group) => group.lifecycle === 'PRESENT' || group.id === id);
                await transaction.execute(replaceReferences, id, staying.map((group) => group.id));
              },
            });
          }
          const [row] = await context.reader.rows(findSecurityGroups, [id]);
          if (row === undefined || isLeaving(row)) return done();
          const result = { ...(await realiser.security.ensureGroups(context, [id])), notRestored: await deadReferences(context.reader, row) };
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
  });
}

function deleteKind(realiser: NetworkRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: SECURITY_GROUP_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => realiser.removeSecurityGroups(context, [context.operation.input.securityGroupId]),
      },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { securityGroupId: id } = operation.input;
      const spans = await transaction.rows(findGroupBackends, [id]);
      await bury(transaction, ObjectKind.SECURITY_GROUP, spans.map((span) => ({ id, backend_id: span.backend_id })), 'deleted');
      await transaction.execute(removeSecurityGroup, id);
      await apply(refundOf([id]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(securityGroupKept, operation.input.securityGroupId);
    },
  });
}

function secureKind(realiser: NetworkRealiser): OperationKind<SecureInput> {
  return defineOperation<SecureInput>({
    kind: PORT_SECURE,
    version: 1,
    input: secureInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        undoesAdmission: true,
        run: (context) => realiser.ensurePorts(context, [context.operation.input.portId]),
        async undo(context) {
          const { portId, added, removed } = context.operation.input;
          if (context.step.memo === undefined) {
            const reversed = new ChangeSet().add(GROUP_CLAIMS, { action: 'RESTORE_PORT', portId, add: removed, remove: added });
            return wait({
              afterMs: 0,
              blocker: 'The groups of before are being put back.',
              memo: REVERSED,
              commit: (_transaction, apply) => apply(reversed),
            });
          }
          const [row] = await context.reader.rows(findPorts, [portId]);
          if (isLeaving(row)) return done();
          const result = { ...(await realiser.ensurePorts(context, [portId])), notRestored: await leftGroups(context.reader, portId, removed) };
          return result.type === 'WAIT' && result.memo === undefined ? { ...result, memo: REVERSED } : result;
        },
      },
    ],
  });
}

/** Groups that rules of before name, and that are gone or going: they are held up by nobody. */
async function deadReferences(reader: Reader, row: SecurityGroupRow): Promise<Unrestored[]> {
  const named = referencesOf(row.rules).filter((id) => id !== row.id);
  const there = new Set((await reader.rows(findSecurityGroups, named)).filter((group) => group.lifecycle === 'PRESENT').map((group) => group.id));
  return named.filter((id) => !there.has(id)).map((id) => ({ resourceId: id, message: 'Rules of before name this security group, which is gone or going by now: they are about nobody.' }));
}

/** Groups that the port was in before, and is not again. */
async function leftGroups(reader: Reader, portId: string, before: readonly string[]): Promise<Unrestored[]> {
  const joined = new Set((await reader.rows(findGroupsOfPorts, [portId])).map((member) => member.security_group_id));
  return before.filter((id) => !joined.has(id)).map((id) => ({ resourceId: id, message: 'The port is not in this security group again, which is gone or going by now.' }));
}

/** As an operation keeps it: JSON. */
export const rulesBefore = (rules: readonly SecurityRule[]): UpdateInput['before'] => rules.map((rule) => ({ ...rule }));
