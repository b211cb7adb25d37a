import { Action, type Access, type Place } from '#identity';

/** Names that Kubernetes keeps for its own components; nobody may come under one of them, to whichever kind. */
const RESERVED = /^system:/i;

/** Who the cluster and its audit log see: the caller's own name. */
export function userFor(access: Access): string {
  const { name } = access.principal;
  return RESERVED.test(name) ? `muon:${name}` : name;
}

/** The group that the caller's rights in Muon stand for; what it may do in the cluster was bound when the cluster was made. */
export function groupsFor(access: Access, place: Place): string[] {
  if (access.can(Action.DELETE, 'cluster', place)) return ['muon:owners'];
  if (access.can(Action.MODIFY, 'cluster', place)) return ['muon:contributors'];
  return ['muon:viewers'];
}
