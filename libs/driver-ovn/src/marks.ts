import { backendRefused, type ObservedNetworkPart, type Ownership } from '#drivers';

/** The keys in `external_ids` by which every row of ours tells what it is, whose, and of which revision. */
export const Mark = {
  KIND: 'muon:kind',
  /** The resource that the row is or belongs to; a listing shows those whose kind is a part's. */
  ID: 'muon:id',
  INSTALLATION: 'muon:installation',
  TENANT: 'muon:tenant',
  PROJECT: 'muon:project',
  REVISION: 'muon:revision',
  NETWORK: 'muon:network',
  SUBNET: 'muon:subnet',
  HOST: 'muon:host',
  ADDRESS: 'muon:address',
  NAME: 'muon:name',
  DOMAIN: 'muon:domain',
  HEALTH_CHECK_ADDRESS: 'muon:health-check-address',
  ROUTER: 'muon:router',
  EXTERNAL_NETWORK: 'muon:external-network',
  /** Of a router and what is on it: the provider's router that its uplink leads to; empty for none. */
  PROVIDER_ROUTER: 'muon:provider-router',
  CIDR: 'muon:cidr',
  GATEWAY: 'muon:gateway',
  /** Of a router: the address by which machines reach the outside; empty when they do not. */
  SOURCE_NAT: 'muon:source-nat',
  /** Of a network's end of its link to a router: the number of the link. */
  LINK: 'muon:link',
  /** Of a floating address: the port or load balancer that it leads to. */
  TARGET: 'muon:target',
  SCOPE: 'muon:scope',
  /** Of a part's main row: what was told of it, see `specification.ts`. */
  SPECIFICATION: 'muon:specification',
} as const;

/** Beside the kinds of parts: rows that only belong to one. */
export type RowKind =
  | ObservedNetworkPart['kind']
  | 'SUBNET'
  | 'LINK'
  | 'DHCP'
  | 'DNS'
  | 'HEALTH_CHECK'
  | 'UPLINK'
  | 'ROUTER_LINK'
  | 'ROUTE'
  | 'SOURCE_NAT'
  | 'TRANSIT'
  | 'FLOATING_TRANSIT'
  | 'FIREWALL_SCOPE'
  | 'RULE';

export type ExternalIds = ReadonlyMap<string, string>;

export interface MarkedResource {
  kind: RowKind;
  id: string;
  revision: number;
  /** Of what belongs to one network. */
  networkId?: string;
  /** A firewall has no tenant, but many. */
  ownership: Pick<Ownership, 'installationId'> & Partial<Ownership>;
}

export function marksOf(resource: MarkedResource, more: Readonly<Record<string, string>> = {}): ExternalIds {
  return new Map([
    [Mark.KIND, resource.kind],
    [Mark.ID, resource.id],
    [Mark.INSTALLATION, resource.ownership.installationId],
    [Mark.REVISION, String(resource.revision)],
    ...present(Mark.TENANT, resource.ownership.tenantId),
    ...present(Mark.PROJECT, resource.ownership.projectId),
    ...present(Mark.NETWORK, resource.networkId),
    ...Object.entries(more),
  ]);
}

const present = (mark: string, value: string | undefined): [string, string][] => (value === undefined ? [] : [[mark, value]]);

/** The condition that a row carries these marks. */
export function carries(marks: Partial<Record<keyof typeof Mark, string>>): readonly ['external_ids', 'includes', ExternalIds] {
  return ['external_ids', 'includes', new Map(Object.entries(marks).map(([name, value]) => [Mark[name as keyof typeof Mark], value]))];
}

/** -1 where somebody has taken the mark away: everything is newer. */
export function revisionOf(externalIds: ExternalIds): number {
  const revision = externalIds.get(Mark.REVISION);
  return revision !== undefined && /^\d{1,15}$/.test(revision) ? Number(revision) : -1;
}

const PART_KINDS: readonly string[] = [
  'NETWORK',
  'PORT',
  'LOAD_BALANCER',
  'EXTERNAL_NETWORK',
  'PROVIDER_ROUTER',
  'ROUTER',
  'FLOATING_IP',
  'SECURITY_GROUP',
  'FIREWALL',
] satisfies ObservedNetworkPart['kind'][];

const isPartKind = (kind: string | undefined): kind is ObservedNetworkPart['kind'] => kind !== undefined && PART_KINDS.includes(kind);

/** The part that a row shows, or undefined when it is not the main row of one. */
export function partOf(externalIds: ExternalIds): Omit<ObservedNetworkPart, 'isIntact'> | undefined {
  const kind = externalIds.get(Mark.KIND);
  const id = externalIds.get(Mark.ID);
  const installationId = externalIds.get(Mark.INSTALLATION);
  if (id === undefined || installationId === undefined) return undefined;
  if (!isPartKind(kind)) return undefined;
  return { kind, id, installationId, revision: revisionOf(externalIds) };
}

/** Nobody else's row has one of our UUIDs: one without the mark has lost it. */
export const isOwn = (marks: ExternalIds, installationId: string): boolean => (marks.get(Mark.INSTALLATION) ?? installationId) === installationId;

/** @throws BACKEND_FAILED when the row is of another installation */
export function requireOwn(backend: string, installationId: string, noun: string, id: string, row: { external_ids: ExternalIds } | undefined): void {
  if (row === undefined || isOwn(row.external_ids, installationId)) return;
  throw backendRefused(backend, `The ${noun} "${id}" belongs to another installation.`);
}
