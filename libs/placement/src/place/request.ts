import type { JsonObject } from '#core';

export const AffinityPolicy = { AFFINITY: 'AFFINITY', ANTI_AFFINITY: 'ANTI_AFFINITY' } as const;
export type AffinityPolicy = (typeof AffinityPolicy)[keyof typeof AffinityPolicy];

/** REQUIRE is kept or nothing is placed; PREFER outweighs every other wish. */
export const AffinityStrength = { REQUIRE: 'REQUIRE', PREFER: 'PREFER' } as const;
export type AffinityStrength = (typeof AffinityStrength)[keyof typeof AffinityStrength];

export const AffinityScope = { HOST: 'HOST', RACK: 'RACK', ZONE: 'ZONE' } as const;
export type AffinityScope = (typeof AffinityScope)[keyof typeof AffinityScope];

/** SPREAD takes the emptiest hosts, PACK the fullest that still fit. */
export const PlacementStrategy = { SPREAD: 'SPREAD', PACK: 'PACK' } as const;
export type PlacementStrategy = (typeof PlacementStrategy)[keyof typeof PlacementStrategy];

/** A storage policy, as far as it matters here where its disks may go. */
export interface KeptPolicy {
  /** For the refusal. */
  name: string;
  /** What datastores that keep it offer, each as `datastore_capacity.offer` says it. */
  offers: readonly string[];
}

/** One machine that needs a place. */
export interface PlacementMachine {
  resourceId: string;
  /** Virtual processors, at least 1. */
  cpu: number;
  memoryMib: number;
  /** What all of its disks take of one datastore; 0 when it needs none. */
  diskGib: number;
  /** Only datastores of this kind; any when absent. */
  datastoreKind?: string;
  /** Only datastores that keep this storage policy; any when absent. */
  storagePolicy?: KeptPolicy;
  /** What the host must have, all of it. */
  traits?: readonly string[];
  /** Narrower than the request's zones. */
  zoneIds?: readonly string[];
  /** Only hosts of these backends: those that its networks span. */
  backendIds?: readonly string[];
  /** Hosts that it must not go to: the one that it leaves. */
  excludedHostIds?: readonly string[];
  /** Groups of the request that it belongs to. */
  groupIds?: readonly string[];
}

export interface PlacementGroup {
  id: string;
  policy: AffinityPolicy;
  strength: AffinityStrength;
  scope: AffinityScope;
  /** Where its other members are, one entry a member. Hosts without a rack count as one rack a zone. */
  existingHostIds: readonly string[];
  /** How many members may meet where those of a REQUIRE group keep apart; still as few as can be. 1 when absent. */
  most?: number;
}

/** What the same plan has chosen before and not yet claimed. */
export interface PlannedClaim {
  hostId: string;
  cpu: number;
  memoryMib: number;
  datastoreId: string | null;
  diskGib: number;
}

export interface PlacementRequest {
  /** The zones that the caller may use and wants. */
  zoneIds: readonly string[];
  /** All of them find a place, or none. At most `MAX_MACHINES`, of at most `MAX_CLASSES` different demands. */
  machines: readonly PlacementMachine[];
  groups?: readonly PlacementGroup[];
  strategy?: PlacementStrategy;
  plannedClaims?: readonly PlannedClaim[];
  /** Also counts what each filter removed when all goes well: for dry runs. */
  explain?: boolean;
  /** Names hosts in the explanation: for operators. */
  showHosts?: boolean;
}

export interface Placement {
  resourceId: string;
  hostId: string;
  /** The backend's own name of the host. */
  hostName: string;
  backendId: string;
  zoneId: string;
  rackId: string | null;
  /** Where its disks go; null when it needs none. */
  datastoreId: string | null;
  /** What that was seen to offer, for the claim: where the machine needs more of it than room. */
  datastoreOffer?: string;
}

/** In the order in which they are applied; a host is counted at the first that removes it. */
export const PlacementFilter = {
  ZONE: 'ZONE',
  STATE: 'STATE',
  EXCLUDED: 'EXCLUDED',
  NETWORK: 'NETWORK',
  TRAITS: 'TRAITS',
  AFFINITY: 'AFFINITY',
  CPU: 'CPU',
  MEMORY: 'MEMORY',
  DATASTORE: 'DATASTORE',
  /** It would fit alone, but the other machines of the request leave no room or their affinity forbids it. */
  SET: 'SET',
} as const;
export type PlacementFilter = (typeof PlacementFilter)[keyof typeof PlacementFilter];

export interface Shortage {
  resource: 'CPU' | 'MEMORY_MIB' | 'DISK_GIB';
  needed: number;
  free: number;
}

export interface PlacementExplanation {
  /** The machine that this speaks of: the first without a place, or the hardest to place. */
  resourceId: string;
  /** How many machines were asked for, and how many could be placed at once. */
  requested: number;
  placed: number;
  /** Hosts that there are. */
  considered: number;
  /** Only filters that removed something. */
  removed: { filter: PlacementFilter; hosts: number }[];
  /** Hosts that are left. */
  fitting: number;
  /** The host that lacks the least, among those that fail by size alone; unnamed unless hosts may be shown. */
  nearestMiss: { hostId: string | null; hostName: string | null; lacks: Shortage[] } | null;
}

export interface PlacementResult {
  /** In the order of the request's machines. */
  placements: Placement[];
  /** Null unless it was asked for. */
  explanation: PlacementExplanation | null;
}

export function explanationData(explanation: PlacementExplanation): JsonObject {
  return explanation as unknown as JsonObject;
}
