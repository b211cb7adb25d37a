import type { Database } from '#database';
import { defineReconciler, type Reconciler } from '#operations';
import { removeUnusedFlavors } from './flavor/flavor.sql.js';
import { removeUnusedImages } from './image/image.sql.js';

/** Takes away withdrawn flavors and images whose last machine went by another way than its own deletion, as with a cluster. */
export function withdrawnOffers(database: Database, everyMs = 60_000): Reconciler {
  return defineReconciler({
    name: 'withdrawn-offers',
    everyMs,
    async run({ log }) {
      const gone = await database.transaction(async (transaction) => [
        ...(await transaction.rows(removeUnusedFlavors)),
        ...(await transaction.rows(removeUnusedImages)),
      ]);
      if (gone.length > 0) log.info({ ids: gone.map((row) => row.id) }, 'withdrawn flavors and images are gone');
    },
  });
}
