import type { Section, Transaction } from '#database';
import { overtakeFirewall, overtakings, type OvertakenTable } from './overtakings.sql.js';

/**
 * A part of which a backend was told a revision that Muon does not know, as its database has lost what it committed last:
 * what the backend is told next has a higher one. Written with the repair that tells it.
 */
export type Overtaking = { table: OvertakenTable; id: string; revision: number } | { table: 'firewall'; revision: number };

export const OVERTAKINGS: Section<Overtaking> = { name: 'partRevisions' };

export async function applyOvertakings(transaction: Transaction, items: readonly Overtaking[]): Promise<void> {
  const inOrder = items.toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
  for (const item of inOrder) {
    if (item.table === 'firewall') await transaction.execute(overtakeFirewall, item.revision);
    else await transaction.execute(overtakings[item.table], item.id, item.revision);
  }
}

const keyOf = (item: Overtaking): string => `${item.table}/${item.table === 'firewall' ? '' : item.id}`;
