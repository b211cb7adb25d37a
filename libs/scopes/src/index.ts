import type { ChangeSetApplier, RoomSchema } from '#database';
import { Scopes1764000300000 } from './migrations/1764000300000-scopes.js';
import { ScopeEntity } from './scope.entity.js';
import { applyScopes, previewScopes, SCOPES } from './scope.js';

export * from './scope.js';
export { findScopeByName, findScopeChain, findScopes } from './scope.sql.js';

export const scopesRoom: RoomSchema = { name: 'scopes', entities: [ScopeEntity], migrations: [Scopes1764000300000] };

export function registerScopeSections(applier: ChangeSetApplier): void {
  // Locks are one statement; changes of state are looked at one by one.
  applier.register(SCOPES, applyScopes, { sendsAtOnce: (items) => !items.some((item) => 'state' in item), preview: previewScopes });
}
