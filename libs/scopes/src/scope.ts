import { defineId, MuonError, toMuonError, type ErrorRecord, type Id } from '#core';
import { statement, versionConflict, type Reader, type Section, type Transaction } from '#database';

export const ScopeKind = { SYSTEM: 'SYSTEM', TENANT: 'TENANT', PROJECT: 'PROJECT' } as const;
export type ScopeKind = (typeof ScopeKind)[keyof typeof ScopeKind];

export const ScopeState = { ACTIVE: 'ACTIVE', SUSPENDED: 'SUSPENDED', DELETING: 'DELETING' } as const;
export type ScopeState = (typeof ScopeState)[keyof typeof ScopeState];

export const systemId = defineId('sys');
export const tenantId = defineId('ten');
export const projectId = defineId('prj');
export type TenantId = Id<'ten'>;
export type ProjectId = Id<'prj'>;

/** The one system scope; the migration makes it. */
export const SYSTEM_SCOPE_ID = 'sys_00000000000000000000000000';

/** A link of the chain system → tenant → project. */
export interface ScopeRow {
  id: string;
  kind: ScopeKind;
  parent_id: string | null;
  tenant_id: string | null;
  project_id: string | null;
  name: string;
  state: ScopeState;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** What a mutation needs of a scope while it commits. A scope that is going takes nothing new; a suspended one may still shrink. */
export interface ScopeLock {
  scopeId: string;
  need: 'ACTIVE' | 'EXISTING';
}

/** A scope that is suspended, resumed, or begins to go; the plan rests on the version. */
export interface ScopeStateChange {
  scopeId: string;
  version: number;
  state: ScopeState;
}

/**
 * Scopes and the tenants above them are locked FOR SHARE and their states checked, so nothing is created in a scope that
 * is on its way out: whoever changes a state waits for them, and they for it.
 */
export const SCOPES: Section<ScopeLock | ScopeStateChange> = { name: 'scopes' };

type LockedScope = Pick<ScopeRow, 'id' | 'kind' | 'tenant_id' | 'name' | 'state'>;

const WITH_TENANTS = `SELECT id, kind, tenant_id, name, state FROM scope
   WHERE id = ANY($1) OR id = ANY(SELECT tenant_id FROM scope WHERE id = ANY($1))`;

const lockScopes = statement<LockedScope, [ids: string[]]>(
  'scope.lock',
  `${WITH_TENANTS}
   ORDER BY id FOR SHARE`,
);

const readScopes = statement<LockedScope, [ids: string[]]>('scope.with_tenants', WITH_TENANTS);

const changeState = statement<{ id: string }, [id: string, version: number, state: ScopeState]>(
  'scope.change_state',
  'UPDATE scope SET state = $3, version = version + 1 WHERE id = $1 AND version = $2 RETURNING id',
);

export async function applyScopes(transaction: Transaction, items: readonly (ScopeLock | ScopeStateChange)[]): Promise<void> {
  for (const item of items) {
    if (!('state' in item)) continue;
    const changed = await transaction.first(changeState, item.scopeId, item.version, item.state);
    if (changed === undefined) throw versionConflict('scope', { id: item.scopeId, version: item.version });
  }
  const locks = items.filter((item) => 'need' in item);
  if (locks.length === 0) return;
  requireNeeds(locks, await transaction.rows(lockScopes, [...new Set(locks.map((item) => item.scopeId))]));
}

/** What applying would be refused with now, by the state of the scopes and of the tenants above them. */
export async function previewScopes(reader: Reader, items: readonly (ScopeLock | ScopeStateChange)[]): Promise<ErrorRecord[]> {
  const locks = items.filter((item) => 'need' in item);
  const found = await reader.rows(readScopes, [...new Set(locks.map((item) => item.scopeId))]);
  try {
    requireNeeds(locks, found);
    return [];
  } catch (error) {
    return [toMuonError(error).toRecord()];
  }
}

/** @throws NOT_FOUND, INVALID_STATE for the first scope that is not as it is needed */
function requireNeeds(locks: readonly ScopeLock[], found: readonly LockedScope[]): void {
  const byId = new Map(found.map((row) => [row.id, row]));
  for (const item of locks) {
    const scope = byId.get(item.scopeId);
    if (scope === undefined) throw new MuonError('NOT_FOUND', `The scope "${item.scopeId}" is gone.`);
    if (item.need !== 'ACTIVE') continue;
    const tenant = scope.tenant_id === null ? undefined : byId.get(scope.tenant_id);
    if (tenant !== undefined) requireActive(tenant);
    requireActive(scope);
  }
}

/** @throws INVALID_STATE saying which scope is suspended or going. */
export function requireActive(scope: Pick<ScopeRow, 'id' | 'kind' | 'name' | 'state'>): void {
  if (scope.state === ScopeState.ACTIVE) return;
  const noun = scope.kind.toLowerCase();
  const why = scope.state === ScopeState.SUSPENDED ? 'is suspended' : 'is being deleted';
  throw new MuonError('INVALID_STATE', `The ${noun} "${scope.name}" ${why}; nothing new can be made or changed in it.`, {
    data: { scopeId: scope.id, state: scope.state },
    fault: scope.state === ScopeState.SUSPENDED ? 'OPERATOR' : 'USER',
  });
}
