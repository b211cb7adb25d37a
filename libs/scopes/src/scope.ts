import { defineId, MuonError, type Id } from '#core';
import { statement, type Section, type Transaction } from '#database';

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

/** Parents are locked FOR SHARE and their states checked, so nothing is created in a scope that is on its way out. */
export const SCOPES: Section<ScopeLock> = { name: 'scopes' };

const lockScopes = statement<Pick<ScopeRow, 'id' | 'kind' | 'name' | 'state'>, [ids: string[]]>(
  'scope.lock',
  'SELECT id, kind, name, state FROM scope WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export async function applyScopeLocks(transaction: Transaction, items: readonly ScopeLock[]): Promise<void> {
  const found = await transaction.rows(lockScopes, [...new Set(items.map((item) => item.scopeId))]);
  const byId = new Map(found.map((row) => [row.id, row]));
  for (const item of items) {
    const scope = byId.get(item.scopeId);
    if (scope === undefined) throw new MuonError('NOT_FOUND', `The scope "${item.scopeId}" is gone.`);
    if (item.need === 'ACTIVE') requireActive(scope);
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
