import { MuonError } from '#core';
import { LostRace, ROWS, type ApplyContext, type Section, type Transaction } from '#database';
import { raiseFirewallRevision, raiseRevisionOfPolicy, remakePolicy } from '../firewall-policy/firewall-policy.sql.js';
import { MAX_GROUPS } from './security-group.js';
import {
  deleteMemberships,
  dropReferences,
  findCrowdedPorts,
  findGroupUsers,
  insertMemberships,
  lockPorts,
  lockSecurityGroups,
  raisePortRevision,
  replaceReferences,
  shareSecurityGroups,
  spanGroups,
  type GroupUserRow,
} from './security-group.sql.js';

/**
 * What a change set makes of security groups and of the firewall above them. Groups are locked by id (FOR SHARE by ports
 * that join and rules that name them, FOR UPDATE by whoever closes them), so that none goes that has come into use.
 */
export type GroupClaim =
  | {
      /** A port that the same change set makes. */
      action: 'JOIN';
      portId: string;
      backendId: string;
      securityGroupIds: string[];
    }
  | {
      /** A port that is there; the groups that are not named stay. RESTORE leaves out groups that have gone meanwhile. */
      action: 'CHANGE_PORT' | 'RESTORE_PORT';
      portId: string;
      add: string[];
      remove: string[];
    }
  | {
      /** The groups that its rules name from now on. */
      action: 'REFER';
      securityGroupId: string;
      referencedIds: string[];
    }
  | {
      /** The rules that name these groups are about nobody any more: their scope goes, with whatever names them. */
      action: 'LET_GO';
      securityGroupIds: string[];
    }
  | {
      /** No port may join it, now or later. */
      action: 'CLOSE';
      securityGroupId: string;
    }
  | {
      /** Backends must be told anew what operators say of a tenant's ports, or of everybody's. */
      action: 'CHANGE_FIREWALL';
      tenantId: string | null;
    }
  | {
      /** Its making failed and is tried again. */
      action: 'REMAKE_POLICY';
      policyId: string;
    };

export const GROUP_CLAIMS: Section<GroupClaim> = { name: 'securityGroups' };

const SHOWN_USERS = 10;

/** @throws LostRace when a group or port has gone; INVALID_STATE when a group takes no new users, or is closed while in use */
export async function applyGroupClaims(transaction: Transaction, items: readonly GroupClaim[], context: ApplyContext): Promise<void> {
  await lockGroups(transaction, items, madeHere(context));
  for (const item of items) if (item.action === 'LET_GO') await transaction.execute(dropReferences, item.securityGroupIds);
  for (const item of items) {
    if (item.action === 'CLOSE') await refuseUsedGroup(transaction, item.securityGroupId);
    else if (item.action === 'REFER') await transaction.execute(replaceReferences, item.securityGroupId, item.referencedIds);
    else if (item.action === 'REMAKE_POLICY') await transaction.execute(remakePolicy, item.policyId);
    if (item.action === 'CHANGE_FIREWALL') await transaction.execute(raiseFirewallRevision, item.tenantId ?? '');
    else if (item.action === 'REMAKE_POLICY') await transaction.execute(raiseRevisionOfPolicy, item.policyId);
  }
  await join(transaction, items);
  await changePorts(transaction, items);
}

/** Groups that the same change set makes: claims come before rows, so they are not there to be locked. */
function madeHere(context: ApplyContext): ReadonlySet<string> {
  return new Set(
    context.changes.items(ROWS).flatMap((row) => ('insert' in row && row.table === 'security_group' ? [String(row.insert['id'])] : [])),
  );
}

async function lockGroups(transaction: Transaction, items: readonly GroupClaim[], made: ReadonlySet<string>): Promise<void> {
  const closed = items.flatMap((item) => (item.action === 'CLOSE' ? [item.securityGroupId] : []));
  const used = items.flatMap((item) => {
    if (item.action === 'JOIN') return item.securityGroupIds;
    if (item.action === 'CHANGE_PORT') return item.add;
    return item.action === 'REFER' ? item.referencedIds : [];
  });
  if (closed.length > 0) await transaction.rows(lockSecurityGroups, closed);
  const stored = [...new Set(used)].filter((id) => !made.has(id));
  // Looked at again when they are put back: who is going by then is left out.
  const restored = items.flatMap((item) => (item.action === 'RESTORE_PORT' ? item.add : []));
  if (stored.length + restored.length === 0) return;
  const rows = new Map((await transaction.rows(shareSecurityGroups, [...stored, ...restored])).map((row) => [row.id, row]));
  for (const id of stored) {
    const row = rows.get(id);
    if (row === undefined) throw new LostRace('security group', `security group ${id} is gone`);
    if (row.lifecycle === 'PRESENT') continue;
    throw new MuonError('INVALID_STATE', `The security group "${row.name}" is being deleted and takes no new users.`, {
      data: { id, state: row.lifecycle, fact: 'security group' },
    });
  }
}

async function join(transaction: Transaction, items: readonly GroupClaim[]): Promise<void> {
  const pairs = items.flatMap((item) => (item.action === 'JOIN' ? item.securityGroupIds.map((id) => ({ ...item, id })) : []));
  if (pairs.length === 0) return;
  const ids = pairs.map(({ id }) => id);
  await transaction.execute(insertMemberships, pairs.map(({ portId }) => portId), ids);
  await transaction.execute(spanGroups, ids, pairs.map(({ backendId }) => backendId));
}

async function changePorts(transaction: Transaction, items: readonly GroupClaim[]): Promise<void> {
  const changes = items.flatMap((item) => (item.action === 'CHANGE_PORT' || item.action === 'RESTORE_PORT' ? [item] : []));
  if (changes.length === 0) return;
  const ports = new Map((await transaction.rows(lockPorts, changes.map(({ portId }) => portId))).map((row) => [row.id, row]));
  for (const { action, portId, add, remove } of changes) {
    const port = ports.get(portId);
    if (port === undefined && action === 'RESTORE_PORT') continue;
    if (port === undefined) throw new LostRace('port', `port ${portId} is gone`);
    if (remove.length > 0) await transaction.execute(deleteMemberships, remove.map(() => portId), remove);
    if (add.length > 0) {
      await transaction.execute(insertMemberships, add.map(() => portId), add);
      await transaction.execute(spanGroups, add, add.map(() => port.backend_id));
    }
  }
  const joined = changes.filter(({ action, add }) => action === 'CHANGE_PORT' && add.length > 0).map(({ portId }) => portId);
  if (joined.length > 0) await refuseCrowdedPorts(transaction, joined);
  await transaction.execute(raisePortRevision, [...ports.keys()]);
}

/** The ports are locked: others that join groups come before, or see these. @throws LIMIT_EXCEEDED */
async function refuseCrowdedPorts(transaction: Transaction, portIds: string[]): Promise<void> {
  const [crowded] = await transaction.rows(findCrowdedPorts, portIds, MAX_GROUPS);
  if (crowded === undefined) return;
  throw new MuonError('LIMIT_EXCEEDED', `A port is in at most ${MAX_GROUPS} security groups.`, { data: { id: crowded.id, maximum: MAX_GROUPS, fact: 'port' } });
}

/** @throws INVALID_STATE listing who is in the group or names it */
async function refuseUsedGroup(transaction: Transaction, securityGroupId: string): Promise<void> {
  const users = await transaction.rows(findGroupUsers, securityGroupId, SHOWN_USERS + 1);
  if (users.length > 0) throw groupInUse(users);
}

export function groupInUse(users: readonly GroupUserRow[]): MuonError {
  const shown = users.slice(0, SHOWN_USERS);
  const list = shown.map((user) => (user.kind === 'PORT' ? `port "${user.name}"` : `the rules of "${user.name}"`)).join(', ');
  const more = users.length > SHOWN_USERS ? ' and more' : '';
  return new MuonError('INVALID_STATE', `The security group is in use by ${list}${more}; take those out first.`, {
    data: { users: shown.map(({ id, kind, name }) => ({ id, kind, name })), more: more !== '' },
  });
}
