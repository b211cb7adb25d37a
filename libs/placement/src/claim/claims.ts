import type { ChangeSetApplier, Section, Transaction } from '#database';
import { applyClaims, type ClaimChange, type LedgerStatements } from './claim-ledger.js';
import * as sql from './claim.sql.js';

/** A change of what a machine takes of hosts. */
export type HostClaim =
  | { action: 'CLAIM'; resourceId: string; hostId: string; tenantId: string; projectId: string; cpu: number; memoryMib: number }
  /** Gives up all that the machine holds; nothing held is no error. */
  | { action: 'RELEASE'; resourceId: string }
  /** Claims the same on another host too: both are held until SETTLE. Repeating it changes nothing. */
  | { action: 'MOVE'; resourceId: string; hostId: string }
  /** Keeps the claim on this host and gives up the others: the end of a move, or its undo. */
  | { action: 'SETTLE'; resourceId: string; hostId: string }
  /** New totals; while a change is under way the caller holds the larger of the two. */
  | { action: 'RESIZE'; resourceId: string; cpu: number; memoryMib: number };

/** A change of what a disk takes of datastores; the actions mean the same. */
export type DatastoreClaim =
  | {
      action: 'CLAIM';
      resourceId: string;
      datastoreId: string;
      tenantId: string;
      projectId: string;
      gib: number;
      /** What the datastore must still offer, as the plan has seen it; anything when absent. */
      offer?: string;
    }
  | { action: 'RELEASE'; resourceId: string }
  | { action: 'MOVE'; resourceId: string; datastoreId: string }
  | { action: 'SETTLE'; resourceId: string; datastoreId: string }
  | { action: 'RESIZE'; resourceId: string; gib: number };

export const HOST_CLAIMS: Section<HostClaim> = { name: 'hostClaims' };
export const DATASTORE_CLAIMS: Section<DatastoreClaim> = { name: 'datastoreClaims' };

const HOSTS: LedgerStatements = {
  noun: 'host',
  lock: sql.lockHosts,
  find: sql.findHostClaims,
  adjust: sql.adjustHosts,
  insert: sql.insertHostClaims,
  copy: sql.copyHostClaims,
  resize: sql.resizeHostClaims,
  remove: sql.removeHostClaims,
};

const DATASTORES: LedgerStatements = {
  noun: 'datastore',
  lock: sql.lockDatastores,
  find: sql.findDatastoreClaims,
  adjust: sql.adjustDatastores,
  insert: sql.insertDatastoreClaims,
  copy: sql.copyDatastoreClaims,
  resize: sql.resizeDatastoreClaims,
  remove: sql.removeDatastoreClaims,
};

function hostChange(claim: HostClaim): ClaimChange {
  switch (claim.action) {
    case 'CLAIM':
      return { ...claim, holderId: claim.hostId, amounts: [claim.cpu, claim.memoryMib] };
    case 'MOVE':
    case 'SETTLE':
      return { action: claim.action, resourceId: claim.resourceId, holderId: claim.hostId };
    case 'RESIZE':
      return { action: 'RESIZE', resourceId: claim.resourceId, amounts: [claim.cpu, claim.memoryMib] };
    case 'RELEASE':
      return claim;
  }
}

function datastoreChange(claim: DatastoreClaim): ClaimChange {
  switch (claim.action) {
    case 'CLAIM':
      return { ...claim, holderId: claim.datastoreId, amounts: [claim.gib], offer: claim.offer };
    case 'MOVE':
    case 'SETTLE':
      return { action: claim.action, resourceId: claim.resourceId, holderId: claim.datastoreId };
    case 'RESIZE':
      return { action: 'RESIZE', resourceId: claim.resourceId, amounts: [claim.gib] };
    case 'RELEASE':
      return claim;
  }
}

/** For finishers of operations; in a plan use the section. */
export async function applyHostClaims(transaction: Transaction, claims: readonly HostClaim[]): Promise<void> {
  await applyClaims(transaction, HOSTS, claims.map(hostChange));
}

/** For finishers of operations; in a plan use the section. */
export async function applyDatastoreClaims(transaction: Transaction, claims: readonly DatastoreClaim[]): Promise<void> {
  await applyClaims(transaction, DATASTORES, claims.map(datastoreChange));
}

/** Gives up everything that these machines hold of hosts; what holds nothing is no error. */
export async function releaseClaims(transaction: Transaction, resourceIds: readonly string[]): Promise<void> {
  await applyHostClaims(transaction, resourceIds.map((resourceId) => ({ action: 'RELEASE', resourceId })));
}

/** Gives up everything that these disks hold of datastores. */
export async function releaseDatastoreClaims(transaction: Transaction, resourceIds: readonly string[]): Promise<void> {
  await applyDatastoreClaims(transaction, resourceIds.map((resourceId) => ({ action: 'RELEASE', resourceId })));
}

export function registerPlacementSections(applier: ChangeSetApplier): void {
  const areNew = (items: readonly { action: string }[]): boolean => items.every((item) => item.action === 'CLAIM');
  applier.register(HOST_CLAIMS, applyHostClaims, { sendsAtOnce: areNew });
  applier.register(DATASTORE_CLAIMS, applyDatastoreClaims, { sendsAtOnce: areNew });
}
