import { ScopeState } from '#scopes';

/** A project as its scope and its own row tell, with what it needs to know of its tenant. */
export interface ProjectRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  display_name: string;
  /** The scope's own; `projectState` says what holds. */
  state: ScopeState;
  tenant_name: string;
  tenant_state: ScopeState;
  deletion_operation_id: string | null;
  scope_version: number;
  version: number;
  revision: number;
  created_at: Date;
}

/** A project is not more active than its tenant. */
export function projectState(row: Pick<ProjectRow, 'state' | 'tenant_state'>): ScopeState {
  for (const state of [ScopeState.DELETING, ScopeState.SUSPENDED]) {
    if (row.state === state || row.tenant_state === state) return state;
  }
  return ScopeState.ACTIVE;
}
