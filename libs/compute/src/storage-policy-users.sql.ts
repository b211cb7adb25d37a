import { statement } from '#database';
import type { StoragePolicyUsers } from '#storage';

const count = (table: 'flavor' | 'virtual_machine') =>
  statement<{ count: number }, [policyId: string]>(
    `${table}.of_storage_policy`,
    `SELECT count(*) AS count FROM (SELECT 1 FROM ${table} WHERE storage_policy_id = $1 LIMIT 100000) AS used`,
  );

const USERS = { flavors: count('flavor'), machines: count('virtual_machine') };

/** What of this room names storage policies; machines do beside their root disks, for when they are made once more. */
export const storagePolicyUsers: readonly StoragePolicyUsers[] = Object.entries(USERS).map(([users, used]) => ({
  users,
  count: async (reader, id) => (await reader.first(used, id))?.count ?? 0,
}));
