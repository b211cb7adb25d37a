import type { JsonObject } from '#core';
import { statement, type ChangeSetData } from '#database';
import type { Requirement } from '../access/access.js';

/** No row means that the key is there already: the insert has waited for whoever held it. */
export const claimKey = statement<{ key: string }, [principalId: string, key: string, inputHash: string]>(
  'command.claim_key',
  `INSERT INTO idempotency_key (principal_id, key, input_hash) VALUES ($1, $2, $3)
   ON CONFLICT (principal_id, key) DO NOTHING RETURNING key`,
);

export const readKey = statement<{ input_hash: string; result: JsonObject | null }, [principalId: string, key: string]>(
  'command.read_key',
  'SELECT input_hash, result FROM idempotency_key WHERE principal_id = $1 AND key = $2',
);

export const completeKey = statement<never, [principalId: string, key: string, result: string]>(
  'command.complete_key',
  'UPDATE idempotency_key SET result = $3::jsonb WHERE principal_id = $1 AND key = $2',
);

/** Planning under this lock loses no race to others that have also lost theirs. */
export const serialisePlanning = statement<unknown>(
  'command.serialise',
  `SELECT pg_advisory_xact_lock(hashtext('muon.planning'))`,
);

export interface PlanRow {
  id: string;
  principal_id: string;
  command: string;
  input: JsonObject;
  changes: ChangeSetData;
  requirements: Requirement[];
  snapshot: string;
  tenant_id: string | null;
  project_id: string | null;
  created_at: Date;
  expires_at: Date;
  applied_at: Date | null;
}

export const insertPlan = statement<
  never,
  [
    id: string,
    principalId: string,
    command: string,
    input: string,
    changes: string,
    requirements: string,
    snapshot: string,
    tenantId: string | null,
    projectId: string | null,
    expiresAt: Date,
  ]
>(
  'command.insert_plan',
  `INSERT INTO plan (id, principal_id, command, input, changes, requirements, snapshot, tenant_id, project_id, expires_at)
   VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, $7, $8, $9, $10)`,
);

/** Marks the plan as applied; a second one finds no row. */
export const takePlan = statement<PlanRow, [id: string, principalId: string]>(
  'command.take_plan',
  `UPDATE plan SET applied_at = now() WHERE id = $1 AND principal_id = $2 AND applied_at IS NULL AND expires_at > now()
   RETURNING *`,
);

export const readPlan = statement<PlanRow, [id: string, principalId: string]>(
  'command.read_plan',
  'SELECT * FROM plan WHERE id = $1 AND principal_id = $2',
);

/** A bounded batch of keys and plans that nobody can use any more. */
export const pruneCommands = statement<{ removed: number }, [keysOlderThan: Date, limit: number]>(
  'command.prune',
  `WITH old_keys AS (
     DELETE FROM idempotency_key WHERE (principal_id, key) IN (
       SELECT principal_id, key FROM idempotency_key WHERE created_at < $1 ORDER BY created_at LIMIT $2::int) RETURNING 1
   ), old_plans AS (
     DELETE FROM plan WHERE id IN (SELECT id FROM plan WHERE expires_at < now() ORDER BY expires_at LIMIT $2::int) RETURNING 1
   )
   SELECT (SELECT count(*) FROM old_keys) + (SELECT count(*) FROM old_plans) AS removed`,
);
