import { statement } from '#database';

export const findProjectScopes = statement<{ id: string; name: string }, [tenantId: string]>(
  'going.projects',
  `SELECT id, name FROM scope WHERE tenant_id = $1 AND kind = 'PROJECT' ORDER BY name LIMIT 10000`,
);

/** The scope and all below it, locked in the order of ids: the last word before they go. */
export const lockGoingScopes = statement<{ id: string }, [tenantId: string, projectId: string | null]>(
  'going.lock',
  `SELECT id FROM scope WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) ORDER BY id FOR UPDATE`,
);

/** Rows that rest on nothing any more. What still refers to them refuses by its foreign key. */
export const removeScopeRows = statement<never, [tenantId: string, scopeIds: string[]]>(
  'going.remove',
  `WITH projects AS (DELETE FROM project WHERE id = ANY($2)),
   grants AS (DELETE FROM zone_grant WHERE tenant_id = ANY($2)),
   tenants AS (DELETE FROM tenant WHERE id = ANY($2))
   DELETE FROM scope WHERE tenant_id = $1 AND id = ANY($2)`,
);

const keepStatement = (table: string) =>
  statement<never, [id: string, state: string, operationId: string]>(
    `going.keep_${table}`,
    `WITH kept AS (
       UPDATE ${table} SET deletion_operation_id = NULL WHERE id = $1 AND deletion_operation_id = $3 RETURNING id
     )
     UPDATE scope SET state = $2, version = version + 1 FROM kept WHERE scope.id = kept.id`,
  );

/** It does not go after all, or not by this operation: its state is what it was, or still DELETING. */
export const keepScope = { tenant: keepStatement('tenant'), project: keepStatement('project') } as const;

export interface LeftoverRow {
  kind: string;
  id: string;
  name: string;
}

/** Of what the rooms below keep: secrets, and operations that have not ended besides the one that asks. */
export const findLeftovers = statement<
  LeftoverRow,
  [tenantId: string, projectId: string | null, rootOperationId: string, limit: number]
>(
  'going.leftovers',
  `SELECT * FROM (
     SELECT 'secret' AS kind, id, purpose AS name FROM secret WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)
     UNION ALL
     SELECT 'operation', id, kind FROM operation
     WHERE tenant_id = $1 AND ($2::text IS NULL OR project_id = $2) AND ended_at IS NULL AND root_id <> $3
   ) AS left_over
   ORDER BY kind, id LIMIT $4::int`,
);
