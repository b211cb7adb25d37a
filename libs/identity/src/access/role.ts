import type { ResourceKind } from './resource-kind.js';

/** The uniform actions on every kind of resource (DESIGN §11). To make a thing is CREATE_CHILD on its kind. */
export const Action = {
  READ: 'READ',
  LIST_CHILDREN: 'LIST_CHILDREN',
  CREATE_CHILD: 'CREATE_CHILD',
  MODIFY: 'MODIFY',
  DELETE: 'DELETE',
} as const;
export type Action = (typeof Action)[keyof typeof Action];

export const ACTIONS = Object.values(Action);

/** The roles that are always there, the strongest first; a tenant may make more of its own. */
export const Role = {
  OWNER: 'OWNER',
  CONTRIBUTOR: 'CONTRIBUTOR',
  LIMITED_CONTRIBUTOR: 'LIMITED_CONTRIBUTOR',
  VIEWER: 'VIEWER',
} as const;
export type Role = (typeof Role)[keyof typeof Role];

export const ROLES = Object.values(Role);

/** What a custom role allows: actions by kind. */
export type Permissions = Readonly<Partial<Record<ResourceKind, readonly Action[]>>>;

/** Who may do what, and what there is to share: the owners' to change. */
const OWNERS_ONLY: ReadonlySet<ResourceKind> = new Set(['system', 'tenant', 'project', 'quota', 'principal', 'group', 'role', 'role binding', 'token', 'issuer']);

/** What others did and with which credential: the owners' to read. */
const OWNERS_READ: ReadonlySet<ResourceKind> = new Set(['audit entry', 'token']);

/**
 * Machines and what they are made of, on networks that are there. Ports come and go with machines; an operation is changed
 * by whoever may also change what it works on. A cluster's load balancer comes and goes with the cluster.
 */
const LIMITED: ReadonlySet<ResourceKind> = new Set([
  'virtual machine',
  'affinity group',
  'disk',
  'disk snapshot',
  'port',
  'cluster',
  'node pool',
  'node',
]);

const READING: ReadonlySet<Action> = new Set([Action.READ, Action.LIST_CHILDREN]);

export function roleAllows(role: Role, action: Action, kind: ResourceKind): boolean {
  if (role === Role.OWNER) return true;
  if (READING.has(action)) return !OWNERS_READ.has(kind);
  if (role === Role.CONTRIBUTOR) return !OWNERS_ONLY.has(kind) && !OWNERS_READ.has(kind);
  if (role !== Role.LIMITED_CONTRIBUTOR) return false;
  return LIMITED.has(kind) || (kind === 'operation' && action === Action.MODIFY);
}

/** Whoever holds a custom role on a scope may also read the scope itself. */
export function permissionsAllow(permissions: Permissions, action: Action, kind: ResourceKind): boolean {
  if (permissions[kind]?.includes(action) === true) return true;
  return action === Action.READ && (kind === 'tenant' || kind === 'project');
}

/** The roles that allow it, the weakest first. */
export function rolesAllowing(action: Action, kind: ResourceKind): Role[] {
  return ROLES.filter((role) => roleAllows(role, action, kind)).reverse();
}
