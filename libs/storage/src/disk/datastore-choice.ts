import { MuonError } from '#core';
import type { Reader } from '#database';
import type { KeptPolicy } from '#placement';
import { chooseDatastores, largestRoom, type DatastoreChoice } from './disk.sql.js';

/** Chosen at random among this many of the best, so that parallel requests do not chase one pool. */
const CHOICE = 5;

/** What narrows the choice; what is left out does not. */
export interface DatastoreDemand {
  /** Where only some pools will do. */
  reach?: Reach | undefined;
  /** Only datastores of this kind, in the operator's word. */
  kind?: string | undefined;
  /** Only datastores that keep it. */
  policy?: KeptPolicy | undefined;
}

/** From where a disk must be reached. */
export interface Reach {
  backendId: string;
  /** Null when it need not be a certain host: then only what all hosts reach will do. */
  hostId: string | null;
}

/**
 * A pool in one of the zones that has room for a disk of its own.
 * @throws INSUFFICIENT_CAPACITY with how many pools there are and the most room that one has
 */
export async function chooseDatastore(
  reader: Reader,
  zoneIds: readonly string[],
  sizeGib: number,
  { reach, kind, policy }: DatastoreDemand = {},
): Promise<DatastoreChoice> {
  const [backendId, hostId] = [reach?.backendId ?? null, reach?.hostId ?? null];
  const offers = policy === undefined ? null : [...policy.offers];
  const found = await reader.rows(chooseDatastores, [...zoneIds], sizeGib, CHOICE, backendId, hostId, kind ?? null, offers);
  // A pool of one host is only taken when no shared one has room.
  const best = found.filter((datastore) => datastore.shared === found[0]?.shared);
  const chosen = best[Math.floor(Math.random() * best.length)];
  if (chosen !== undefined) return chosen;
  const room = await reader.first(largestRoom, [...zoneIds], backendId, hostId, kind ?? null, offers);
  const [datastores, largestGib] = [room?.datastores ?? 0, Math.max(0, room?.largest_gib ?? 0)];
  const ofKind = kind === undefined ? '' : ` of the kind "${kind}"`;
  const keeping = policy === undefined ? '' : ` keeping the storage policy "${policy.name}"`;
  const where = `${ofKind}${reach === undefined ? ' in these zones' : ' that the machine reaches'}${keeping}`;
  const message =
    datastores === 0
      ? `No datastore${where} takes new disks.`
      : `None of ${datastores} datastores${where} has ${sizeGib} GiB free; the most that one has is ${largestGib} GiB.`;
  throw new MuonError('INSUFFICIENT_CAPACITY', message, { data: { datastores, requestedGib: sizeGib, largestGib, ...(kind === undefined ? {} : { datastoreKind: kind }), ...(policy === undefined ? {} : { storagePolicy: policy.name }) } });
}
