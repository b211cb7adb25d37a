import type { Blocker } from './operation.js';

/** The blocker of an operation that stands in line for another one's resource. */
export function blockedBy(holder: { resource_id: string; holder_id: string; holder_kind: string; holder_state: string }): Blocker {
  const isStuck = holder.holder_state === 'STUCK';
  return {
    code: 'RESOURCE_BUSY',
    message: `Waits for operation "${holder.holder_id}" (${holder.holder_kind}) to end.`,
    fault: isStuck ? 'OPERATOR' : 'SYSTEM',
    ...(isStuck ? { remedy: 'An operator must retry or abandon that operation.' } : {}),
    data: { resourceId: holder.resource_id, operationId: holder.holder_id, operationKind: holder.holder_kind },
    since: new Date().toISOString(),
  };
}
