import { idPrefix } from '#core';

/**
 * Every kind of thing that rights are held on, as people read it in errors, with the prefix of its ids. A room above adds
 * its kinds here: a right on a kind that is not listed does not compile.
 */
const PREFIX_OF_KIND = {
  system: 'sys',
  tenant: 'ten',
  project: 'prj',
  quota: 'quo',
  principal: 'pri',
  group: 'grp',
  role: 'rol',
  'role binding': 'rbd',
  token: 'tok',
  issuer: 'iss',
  'audit entry': 'aud',
  operation: 'op',
  zone: 'zon',
  rack: 'rck',
  backend: 'bck',
  host: 'hst',
  datastore: 'dst',
  network: 'net',
  subnet: 'sub',
  port: 'prt',
  'load balancer': 'lb',
  'external network': 'ext',
  'provider router': 'prr',
  router: 'rtr',
  'floating ip': 'fip',
  'security group': 'sgp',
  'firewall policy': 'fwp',
  disk: 'dsk',
  'disk snapshot': 'dsn',
  'storage policy': 'stp',
  flavor: 'flv',
  image: 'img',
  'affinity group': 'afg',
  'virtual machine': 'vm',
  'cluster version': 'cvr',
  cluster: 'cls',
  'node pool': 'npl',
  node: 'nod',
} as const;

export type ResourceKind = keyof typeof PREFIX_OF_KIND;

export const RESOURCE_KINDS = Object.keys(PREFIX_OF_KIND) as ResourceKind[];

const kinds = new Map<string, ResourceKind>(RESOURCE_KINDS.map((kind) => [PREFIX_OF_KIND[kind], kind]));

/** The kind of the thing with that id; undefined for an id of something that no rights are held on. */
export function kindOfId(id: string): ResourceKind | undefined {
  return kinds.get(idPrefix(id) ?? '');
}
