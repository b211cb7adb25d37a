import type { HostState } from '#infrastructure';
import type { MachineState } from '#compute';
import type { NodeHealth, NodeHealthReason } from '../node/cluster-node.js';

/** What was seen of a node at one look. */
export interface Sighting {
  health: NodeHealth;
  reason: NodeHealthReason;
}

/** Something that was seen and has not held for long enough to be believed. */
export interface Suspect extends Sighting {
  /** ISO time of the first of the sightings in a row. */
  since: string;
}

/** By node id. */
export type Suspects = Record<string, Suspect>;

/** How long something must be seen before a node's health flips to it, in ms. */
export interface HealthThresholds {
  ready: number;
  notReady: number;
  unreachable: number;
}

/** A loaded node may miss a check or two, and a rebooting one all of them for a while. */
export const DEFAULT_THRESHOLDS: HealthThresholds = { ready: 0, notReady: 40_000, unreachable: 40_000 };

function thresholdOf({ health, reason }: Sighting, thresholds: HealthThresholds): number {
  if (health === 'READY') return thresholds.ready;
  if (health === 'NOT_READY') return thresholds.notReady;
  // What is proven needs no patience; that a backend does not know a machine any more might be its mistake.
  return reason === 'HOST_FENCED' || health === 'UNKNOWN' ? 0 : thresholds.unreachable;
}

export interface HealthFact extends Sighting {
  since: Date;
}

/**
 * Folds a sighting into what is believed: it flips only when the same health has been seen for its threshold. Another reason
 * for the same health is taken over at once, with the time since when the health holds. What was seen before that time is of
 * no use: the node was another one then, as one that was moved.
 */
export function foldSighting(
  believed: HealthFact,
  suspect: Suspect | undefined,
  seen: Sighting | undefined,
  thresholds: HealthThresholds,
  at: Date,
): { believed: HealthFact; suspect: Suspect | undefined } {
  // Nothing could be learned this time: neither for nor against it.
  if (seen === undefined) return { believed, suspect };
  if (seen.health === believed.health) return { believed: { ...seen, since: believed.since }, suspect: undefined };
  const isConfirmed = suspect?.health === seen.health && Date.parse(suspect.since) >= believed.since.getTime();
  const since = isConfirmed ? suspect.since : at.toISOString();
  if (at.getTime() - Date.parse(since) >= thresholdOf(seen, thresholds)) {
    return { believed: { ...seen, since: new Date(since) }, suspect: undefined };
  }
  return { believed, suspect: { ...seen, since } };
}

/** How the check in the guest went; undefined when it was not asked. */
export type GuestAnswer = 'READY' | 'NOT_READY' | 'SILENT' | 'STOPPED' | 'AWAY' | 'GONE' | undefined;

/** What Muon itself knows of a node's machine and host; undefined when they are gone. */
export interface Ground {
  machine: MachineState | undefined;
  host: HostState | undefined;
}

/** Whether there is any sense in asking the guest. */
export function isWorthAsking(ground: Ground): boolean {
  return sightingWithoutGuest(ground) === undefined;
}

/** What is plain without asking the guest. */
function sightingWithoutGuest({ machine, host }: Ground): Sighting | undefined {
  if (machine === undefined || machine === 'FAILED') return { health: 'LOST', reason: 'MACHINE_GONE' };
  if (host === 'FENCED') return { health: 'LOST', reason: 'HOST_FENCED' };
  if (host === 'DOWN') return { health: 'UNREACHABLE', reason: 'HOST_SILENT' };
  if (machine === 'STOPPED' || machine === 'SUSPENDED' || machine === 'STOPPING' || machine === 'SUSPENDING') {
    return { health: 'NOT_READY', reason: 'MACHINE_NOT_RUNNING' };
  }
  return undefined;
}

/** The one place where a node's health at one look is made of what is known. */
export function sightingOf(ground: Ground, guest: GuestAnswer): Sighting | undefined {
  const plain = sightingWithoutGuest(ground);
  if (plain !== undefined) return plain;
  switch (guest) {
    case 'READY':
      return { health: 'READY', reason: 'NODE_READY' };
    case 'NOT_READY':
      return { health: 'NOT_READY', reason: 'NODE_NOT_READY' };
    case 'SILENT':
      return { health: 'NOT_READY', reason: 'GUEST_SILENT' };
    case 'STOPPED':
      return { health: 'NOT_READY', reason: 'MACHINE_NOT_RUNNING' };
    case 'GONE':
      return { health: 'LOST', reason: 'MACHINE_GONE' };
    case 'AWAY':
      return { health: 'UNREACHABLE', reason: 'BACKEND_SILENT' };
    case undefined:
      return undefined;
  }
}
