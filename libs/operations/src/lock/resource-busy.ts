import { MuonError, type ErrorRecord } from '#core';
import type { Reader } from '#database';
import type { ResourceLockItem } from '../operation/operation-sections.js';
import { readHolders, type LockHolder } from './resource-lock.sql.js';

/** The refusal that names who is at a resource, or will delete it. */
export function resourceBusy(holder: LockHolder, items: readonly ResourceLockItem[]): MuonError {
  const other = items.find((item) => item.resourceId === holder.resource_id);
  const inLine = other?.mode === 'SUCCEED' ? holder.successor_operation_id : null;
  const operationId = inLine ?? holder.operation_id;
  return new MuonError(
    'RESOURCE_BUSY',
    inLine === null
      ? `"${holder.resource_id}" is being changed by operation "${operationId}" (${holder.kind}).`
      : `"${holder.resource_id}" will be deleted by operation "${operationId}".`,
    { data: { resourceId: holder.resource_id, operationId, operationKind: holder.kind, operationState: holder.state } },
  );
}

/** Whoever is at the resources now, or in line for them: a plan for the same would be refused. */
export async function previewLocks(reader: Reader, items: readonly ResourceLockItem[]): Promise<ErrorRecord[]> {
  const asked = new Map(items.map((item) => [item.resourceId, item]));
  const holders = await reader.rows(readHolders, [...asked.keys()]);
  const first = holders.find((holder) => {
    const item = asked.get(holder.resource_id);
    if (holder.root_operation_id === item?.operationId) return false;
    return item?.mode !== 'SUCCEED' || holder.successor_operation_id !== null;
  });
  return first === undefined ? [] : [resourceBusy(first, items).toRecord()];
}

/** The refusal that names who is at the resource now; undefined when nobody is. */
export async function holderOf(reader: Reader, resourceId: string): Promise<MuonError | undefined> {
  const [holder] = await reader.rows(readHolders, [resourceId]);
  return holder === undefined ? undefined : resourceBusy(holder, []);
}

/**
 * For what a resource's state does not allow: while an operation is about to change that state, the caller is told so by
 * RESOURCE_BUSY, which can be tried again.
 */
export async function busyOr(reader: Reader, resourceId: string, otherwise: MuonError): Promise<MuonError> {
  return (await holderOf(reader, resourceId)) ?? otherwise;
}
