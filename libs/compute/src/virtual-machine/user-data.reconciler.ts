import type { Database } from '#database';
import { defineReconciler, type Reconciler } from '#operations';
import type { SecretService } from '#secrets';
import { sealUserData } from './user-data.js';
import { lockPlainUserData, setSealedUserData } from './user-data.sql.js';

const BATCH = 100;
/** Batches of one run: what is left is taken by the next. */
const MAX_BATCHES = 100;

/** Seals user data that older versions have kept as it is, or that a plan of theirs still brings. */
export function sealingUserData(database: Database, secrets: SecretService, everyMs = 60_000): Reconciler {
  return defineReconciler({
    name: 'user-data-sealing',
    everyMs,
    async run({ signal, log }) {
      let sealed = 0;
      for (let round = 0; round < MAX_BATCHES && !signal.aborted; round += 1) {
        const count = await sealBatch(database, secrets);
        sealed += count;
        if (count < BATCH) break;
      }
      if (sealed > 0) log.info({ machines: sealed }, 'user data of machines is sealed');
    },
  });
}

async function sealBatch(database: Database, secrets: SecretService): Promise<number> {
  return database.transaction(async (transaction) => {
    const machines = await transaction.rows(lockPlainUserData, BATCH);
    if (machines.length === 0) return 0;
    const sealed = await Promise.all(
      machines.map(async ({ id, tenant_id: tenantId, project_id: projectId, user_data: text }) => sealUserData(secrets, { id, tenantId, projectId }, text)),
    );
    const refs = await secrets.putAll(transaction, sealed.filter((each) => each !== null));
    await transaction.execute(setSealedUserData, machines.map((machine) => machine.id), refs);
    return machines.length;
  });
}
