import { MuonError, notFound } from '#core';

/** The uniform actions on every kind of resource (DESIGN §11). */
export const Action = {
  READ: 'READ',
  LIST_CHILDREN: 'LIST_CHILDREN',
  CREATE_CHILD: 'CREATE_CHILD',
  MODIFY: 'MODIFY',
  DELETE: 'DELETE',
} as const;
export type Action = (typeof Action)[keyof typeof Action];

export const Role = { OWNER: 'OWNER' } as const;
export type Role = (typeof Role)[keyof typeof Role];

/** Where a resource lives in the chain of scopes; both null for what belongs to the system. */
export interface Place {
  tenantId: string | null;
  projectId: string | null;
}

export const SYSTEM_PLACE: Place = { tenantId: null, projectId: null };

/** A role on a scope, which holds for everything below. */
export interface Grant extends Place {
  role: Role;
}

export interface PrincipalIdentity {
  id: string;
  kind: 'USER' | 'SERVICE_ACCOUNT';
  name: string;
}

export interface RequestOrigin {
  requestId: string;
  address: string | null;
}

/** A right that a command was granted; a stored plan is applied only while its maker still holds all of them. */
export interface Requirement extends Place {
  action: Action;
  kind: string;
}

/**
 * What one caller may do, for the length of one request. Rows are filtered by `filter` in SQL while they are looked up,
 * and `require` then proves the right to act: what may not be seen is NOT_FOUND, what may be seen but not done FORBIDDEN.
 */
export class Access {
  private readonly required = new Map<string, Requirement>();

  constructor(
    readonly principal: PrincipalIdentity,
    readonly tokenId: string | null,
    readonly expiresAt: Date | null,
    readonly origin: RequestOrigin,
    private readonly grants: readonly Grant[],
  ) {}

  /** Every right that was required so far, each once: the access of a socket lives as long as the socket does. */
  get requirements(): Requirement[] {
    return [...this.required.values()];
  }

  /** Parameters for `visible()`: everything, or these tenants and projects. */
  get filter(): [all: boolean, tenantIds: string[], projectIds: string[]] {
    return [
      this.grants.some((grant) => grant.tenantId === null),
      this.grants.flatMap((grant) => (grant.tenantId !== null && grant.projectId === null ? [grant.tenantId] : [])),
      this.grants.flatMap((grant) => (grant.projectId === null ? [] : [grant.projectId])),
    ];
  }

  get isSystemWide(): boolean {
    return this.filter[0];
  }

  /** Whether these grants are exactly the ones that the access was made with. */
  hasGrants(grants: readonly Grant[]): boolean {
    const keys = (list: readonly Grant[]): string =>
      list
        .map((grant) => `${grant.role}/${grant.tenantId ?? ''}/${grant.projectId ?? ''}`)
        .sort()
        .join(' ');
    return keys(grants) === keys(this.grants);
  }

  sees(place: Place): boolean {
    return this.grants.some((grant) => covers(grant, place));
  }

  can(action: Action, kind: string, place: Place): boolean {
    return this.grants.some((grant) => covers(grant, place) && allows(grant.role, action, kind));
  }

  /**
   * @param row what a look-up found, already filtered or not
   * @throws NOT_FOUND when there is none or it may not be seen; FORBIDDEN saying which role would do.
   */
  require<Row extends Place>(action: Action, kind: string, row: Row | undefined, id: string, field?: string): Row {
    if (row === undefined || !this.sees(row)) throw notFound(kind, id, field);
    if (!this.can(action, kind, row)) throw forbidden(action, kind, id);
    this.remember({ action, kind, tenantId: row.tenantId, projectId: row.projectId });
    return row;
  }

  /** For what belongs to the system: zones, backends, tenants' making. */
  requireSystem(action: Action, kind: string): void {
    if (!this.can(action, kind, SYSTEM_PLACE)) throw forbidden(action, kind, 'system', 'the system');
    this.remember({ action, kind, ...SYSTEM_PLACE });
  }

  private remember(requirement: Requirement): void {
    const { action, kind, tenantId, projectId } = requirement;
    this.required.set(`${action}/${kind}/${tenantId ?? ''}/${projectId ?? ''}`, requirement);
  }
}

function covers(grant: Grant, place: Place): boolean {
  if (grant.tenantId === null) return true;
  if (grant.tenantId !== place.tenantId) return false;
  return grant.projectId === null || grant.projectId === place.projectId;
}

function allows(role: Role, _action: Action, _kind: string): boolean {
  return role === Role.OWNER;
}

function forbidden(action: Action, kind: string, id: string, scope = 'its scope'): MuonError {
  const verb = action.toLowerCase().replace('_', ' ');
  return new MuonError('FORBIDDEN', `You may not ${verb} this ${kind}; the role OWNER on ${scope} would allow it.`, {
    data: { action, kind, id, allowedBy: ['OWNER'] },
  });
}

/**
 * SQL that lets through only rows that the caller may see.
 * @param alias the table's alias, which has tenant_id and project_id
 * @param first number of the first of the three parameters of `access.filter`
 */
export function visible(alias: string, first: number): string {
  return `($${first}::boolean OR ${alias}.tenant_id = ANY($${first + 1}::text[]) OR ${alias}.project_id = ANY($${first + 2}::text[]))`;
}
