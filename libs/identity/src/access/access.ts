import { MuonError, notFound } from '#core';
import { RESOURCE_KINDS, type ResourceKind } from './resource-kind.js';
import { Action, ACTIONS, permissionsAllow, roleAllows, rolesAllowing, type Permissions, type Role } from './role.js';

/** Where a resource lives in the chain of scopes; both null for what belongs to the system. */
export interface Place {
  tenantId: string | null;
  projectId: string | null;
}

export const SYSTEM_PLACE: Place = { tenantId: null, projectId: null };

/** Where a row lives. */
export function placeOfRow(row: { tenant_id: string | null; project_id: string | null }): Place {
  return { tenantId: row.tenant_id, projectId: row.project_id };
}

/** A role on a scope, which holds for everything below. */
export interface Grant extends Place {
  /** Null for a custom role, whose permissions are given instead. */
  role: Role | null;
  permissions?: Permissions | null;
}

export interface PrincipalIdentity {
  id: string;
  kind: 'USER' | 'SERVICE_ACCOUNT';
  name: string;
  /** The tenant that it belongs to; null for one of the system. */
  tenantId: string | null;
}

export interface RequestOrigin {
  requestId: string;
  address: string | null;
}

/** A right that a command was granted; a stored plan is applied only while its maker still holds all of them. */
export interface Requirement extends Place {
  action: Action;
  kind: ResourceKind;
}

/** Where a refused attempt was aimed at, for the audit log of those who own that place; no part of what the caller is told. */
const refusedPlaces = new WeakMap<Error, Place>();

export function placeOfRefusal(error: unknown): Place | undefined {
  return error instanceof Error ? refusedPlaces.get(error) : undefined;
}

function refused(error: MuonError, place: Place): MuonError {
  refusedPlaces.set(error, { tenantId: place.tenantId, projectId: place.projectId });
  return error;
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

  /** The same access with nothing required of it yet, for one of the operations of a socket. */
  forOperation(requestId: string): Access {
    return new Access(this.principal, this.tokenId, this.expiresAt, { ...this.origin, requestId }, this.grants);
  }

  /** Every right that was required so far, each once. */
  get requirements(): Requirement[] {
    return [...this.required.values()];
  }

  /** Parameters for `visible()`, for things of this kind: everything, or what is in these tenants and projects. */
  filter(kind: ResourceKind): [all: boolean, tenantIds: string[], projectIds: string[]] {
    const grants = this.grants.filter((grant) => allows(grant, Action.READ, kind));
    return [
      grants.some((grant) => grant.tenantId === null),
      grants.flatMap((grant) => (grant.tenantId !== null && grant.projectId === null ? [grant.tenantId] : [])),
      grants.flatMap((grant) => (grant.projectId === null ? [] : [grant.projectId])),
    ];
  }

  /** Whether these grants are exactly the ones that the access was made with. */
  hasGrants(grants: readonly Grant[]): boolean {
    return sameGrants(grants, this.grants);
  }

  /** Whether the caller holds any role at all: who has only signed in is not shown even what is shared by all tenants. */
  get holdsAnything(): boolean {
    return this.grants.length > 0;
  }

  /** Hosts, backends and where things run are shown to those who may read the system. */
  get seesInfrastructure(): boolean {
    return this.sees('host', SYSTEM_PLACE);
  }

  sees(kind: ResourceKind, place: Place): boolean {
    return this.can(Action.READ, kind, place);
  }

  can(action: Action, kind: ResourceKind, place: Place): boolean {
    return this.grants.some((grant) => grantAllows(grant, action, kind, place));
  }

  /** What the caller may do to a thing of this kind there. */
  actionsOn(kind: ResourceKind, place: Place): Action[] {
    return ACTIONS.filter((action) => this.can(action, kind, place));
  }

  /**
   * @param row what a look-up found, already filtered or not
   * @throws NOT_FOUND when there is none or it may not be seen; FORBIDDEN saying which roles would do.
   */
  require<Row extends Place>(action: Action, kind: ResourceKind, row: Row | undefined, id: string, field?: string): Row {
    if (row === undefined || !this.sees(kind, row)) throw notFound(kind, id, field);
    if (!this.can(action, kind, row)) throw forbidden(action, kind, row, id);
    this.remember({ action, kind, tenantId: row.tenantId, projectId: row.projectId });
    return row;
  }

  /**
   * For what is made inside of something: that must be seen, and the right is one on the kind of the child.
   * @throws NOT_FOUND of the parent; FORBIDDEN saying which roles would do
   */
  requireChild<Row extends Place>(child: ResourceKind, parent: ResourceKind, row: Row | undefined, id: string, field?: string): Row {
    if (row === undefined || !this.sees(parent, row)) throw notFound(parent, id, field);
    if (!this.can(Action.CREATE_CHILD, child, row)) throw forbidden(Action.CREATE_CHILD, child, row, id);
    this.remember({ action: Action.CREATE_CHILD, kind: child, tenantId: row.tenantId, projectId: row.projectId });
    return row;
  }

  /** For what belongs to the system: zones, backends, tenants' making. */
  requireSystem(action: Action, kind: ResourceKind): void {
    if (!this.can(action, kind, SYSTEM_PLACE)) throw forbidden(action, kind, SYSTEM_PLACE, 'system');
    this.remember({ action, kind, ...SYSTEM_PLACE });
  }

  /**
   * Nobody gives away what they do not hold: neither by a binding, nor by a token of somebody who holds it.
   * @param grants what the other has or would get
   * @throws FORBIDDEN naming a right that the caller lacks
   */
  requireHolds(grants: readonly Grant[], id: string, field: string): void {
    for (const grant of grants) {
      for (const { action, kind } of rightsOf(grant)) {
        if (!this.can(action, kind, grant)) throw notHeld(action, kind, grant, id, field);
        this.remember({ action, kind, tenantId: grant.tenantId, projectId: grant.projectId });
      }
    }
  }

  private remember(requirement: Requirement): void {
    const { action, kind, tenantId, projectId } = requirement;
    this.required.set(`${action}/${kind}/${tenantId ?? ''}/${projectId ?? ''}`, requirement);
  }
}

/** Whether both lists hold the same, in whatever order. */
export function sameGrants(one: readonly Grant[], other: readonly Grant[]): boolean {
  const keys = (list: readonly Grant[]): string =>
    list
      .map((grant) => JSON.stringify([grant.role, grant.permissions ?? null, grant.tenantId, grant.projectId]))
      .sort()
      .join(' ');
  return keys(one) === keys(other);
}

/** Whether this one role gives that right. */
export function grantAllows(grant: Grant, action: Action, kind: ResourceKind, place: Place): boolean {
  return covers(grant, place) && allows(grant, action, kind);
}

function covers(grant: Grant, place: Place): boolean {
  if (grant.tenantId === null) return true;
  if (grant.tenantId !== place.tenantId) return false;
  return grant.projectId === null || grant.projectId === place.projectId;
}

function rightsOf(grant: Grant): { action: Action; kind: ResourceKind }[] {
  return RESOURCE_KINDS.flatMap((kind) => ACTIONS.filter((action) => allows(grant, action, kind)).map((action) => ({ action, kind })));
}

function allows(grant: Grant, action: Action, kind: ResourceKind): boolean {
  if (grant.role !== null) return roleAllows(grant.role, action, kind);
  return grant.permissions != null && permissionsAllow(grant.permissions, action, kind);
}

const VERBS: Record<Action, string> = {
  READ: 'read',
  LIST_CHILDREN: 'list what belongs to',
  CREATE_CHILD: 'make',
  MODIFY: 'modify',
  DELETE: 'delete',
};

/** @param id of what was to be changed, or of where it was to be made */
function forbidden(action: Action, kind: ResourceKind, place: Place, id: string): MuonError {
  const scope = scopeWord(place);
  const roles = rolesAllowing(action, kind);
  const choice = roles.length === 1 ? `the role ${roles[0]}` : `one of the roles ${roles.join(', ')}`;
  const noun = action === Action.CREATE_CHILD ? `a ${kind} here`.replace(/^a (?=[aeio])/, 'an ') : `this ${kind}`;
  const error = new MuonError('FORBIDDEN', `You may not ${VERBS[action]} ${noun}; ${choice} on ${scope} would allow it.`, {
    data: { action, kind, id, allowedBy: roles, scopeId: place.projectId ?? place.tenantId },
  });
  return refused(error, place);
}

/** What a place is the place of: things without rights of their own, as the grant of a zone, are seen with it. */
export function scopeKind(place: Place): 'tenant' | 'project' {
  return place.projectId === null ? 'tenant' : 'project';
}

function notHeld(action: Action, kind: ResourceKind, place: Place, id: string, field: string): MuonError {
  const right = `${VERBS[action]} ${kind}s`;
  const error = new MuonError('FORBIDDEN', `Nobody gives away what they do not hold: you may not ${right} on ${scopeWord(place)}.`, {
    field,
    data: { action, kind, id, allowedBy: rolesAllowing(action, kind), scopeId: place.projectId ?? place.tenantId },
  });
  return refused(error, place);
}

function scopeWord(place: Place): string {
  if (place.projectId !== null) return 'its project or tenant';
  return place.tenantId === null ? 'the system' : 'its tenant';
}

/**
 * SQL that lets through only rows that the caller may see.
 * @param alias the table's alias, which has tenant_id and project_id
 * @param first number of the first of the three parameters of `access.filter(kind)`
 */
export function visible(alias: string, first: number): string {
  return `($${first}::boolean OR ${alias}.tenant_id = ANY($${first + 1}::text[]) OR ${alias}.project_id = ANY($${first + 2}::text[]))`;
}
