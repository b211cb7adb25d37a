import type { Reader } from '#database';
import { countDisksOfPolicy } from './storage-policy.sql.js';

/** A room above whose things name storage policies; what it counts keeps them from going at once. */
export interface StoragePolicyUsers {
  /** What it counts, in the plural and for people, as `flavors`. */
  readonly users: string;
  count(reader: Reader, policyId: string): Promise<number>;
}

const DISKS: StoragePolicyUsers = { users: 'disks', count: async (reader, id) => (await reader.first(countDisksOfPolicy, id))?.disks ?? 0 };

/** Only those that there are. */
export async function usesOfPolicy(reader: Reader, others: readonly StoragePolicyUsers[], id: string): Promise<{ users: string; count: number }[]> {
  const uses: { users: string; count: number }[] = [];
  for (const each of [DISKS, ...others]) {
    const count = await each.count(reader, id);
    if (count > 0) uses.push({ users: each.users, count });
  }
  return uses;
}
