import { MuonError } from '#core';
import type { Reader } from '#database';
import { chooseDatastores, largestRoom, type DatastoreChoice } from './disk.sql.js';

/** Chosen at random among this many of the best, so that parallel requests do not chase one pool. */
const CHOICE = 5;

/**
 * A pool in one of the zones that has room for a disk of its own.
 * @throws INSUFFICIENT_CAPACITY with how many pools there are and the most room that one has
 */
export async function chooseDatastore(reader: Reader, zoneIds: readonly string[], sizeGib: number): Promise<DatastoreChoice> {
  const found = await reader.rows(chooseDatastores, [...zoneIds], sizeGib, CHOICE);
  // A pool of one host is only taken when no shared one has room.
  const best = found.filter((datastore) => datastore.shared === found[0]?.shared);
  const chosen = best[Math.floor(Math.random() * best.length)];
  if (chosen !== undefined) return chosen;
  const room = await reader.first(largestRoom, [...zoneIds]);
  const [datastores, largestGib] = [room?.datastores ?? 0, Math.max(0, room?.largest_gib ?? 0)];
  const message =
    datastores === 0
      ? 'No datastore in these zones takes new disks.'
      : `None of ${datastores} datastores has ${sizeGib} GiB free; the most that one has is ${largestGib} GiB.`;
  throw new MuonError('INSUFFICIENT_CAPACITY', message, { data: { datastores, requestedGib: sizeGib, largestGib } });
}
