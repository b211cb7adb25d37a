import { statement } from '#database';

/** A claim or a change of one, as the ledgers write it: `holder` is the host or datastore. */
export interface ClaimRow {
  resource_id: string;
  holder_id: string;
  amounts: number[];
}

/** Holders in the order of their ids: the lock order of all claims. */
export const lockHosts = statement<{ id: string }, [ids: string[]]>(
  'host_claim.lock',
  'SELECT host_id AS id FROM host_capacity WHERE host_id = ANY($1) ORDER BY host_id FOR NO KEY UPDATE',
);

export const findHostClaims = statement<ClaimRow, [resourceIds: string[]]>(
  'host_claim.find',
  'SELECT resource_id, host_id AS holder_id, ARRAY[cpu, memory_mib] AS amounts FROM host_claim WHERE resource_id = ANY($1)',
);

/** Newcomers need an active host; growth needs room; shrinking always passes. Returns the hosts that took the change. */
export const adjustHosts = statement<{ id: string }, [changes: string]>(
  'host_claim.adjust',
  `UPDATE host_capacity AS h SET
     cpu_claimed = h.cpu_claimed + d.amounts[1], memory_claimed_mib = h.memory_claimed_mib + d.amounts[2]
   FROM jsonb_to_recordset($1::jsonb) AS d (id text, amounts bigint[], newcomers boolean)
   WHERE h.host_id = d.id
     AND (NOT d.newcomers OR h.state = 'ACTIVE')
     AND (d.amounts[1] <= 0 OR h.cpu_claimed + d.amounts[1] <= h.cpu_limit)
     AND (d.amounts[2] <= 0 OR h.memory_claimed_mib + d.amounts[2] <= h.memory_limit_mib)
   RETURNING h.host_id AS id`,
);

export const insertHostClaims = statement<never, [claims: string]>(
  'host_claim.insert',
  `INSERT INTO host_claim (resource_id, host_id, tenant_id, project_id, cpu, memory_mib)
   SELECT resource_id, holder_id, tenant_id, project_id, amounts[1], amounts[2]
   FROM jsonb_to_recordset($1::jsonb) AS c (resource_id text, holder_id text, tenant_id text, project_id text, amounts bigint[])`,
);

/** A second claim of the same resource, beside the one it has. */
export const copyHostClaims = statement<never, [claims: string]>(
  'host_claim.copy',
  `INSERT INTO host_claim (resource_id, host_id, tenant_id, project_id, cpu, memory_mib)
   SELECT DISTINCT ON (c.resource_id) c.resource_id, n.holder_id, c.tenant_id, c.project_id, n.amounts[1], n.amounts[2]
   FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
   JOIN host_claim AS c USING (resource_id)`,
);

export const resizeHostClaims = statement<never, [claims: string]>(
  'host_claim.resize',
  `UPDATE host_claim AS c SET cpu = n.amounts[1], memory_mib = n.amounts[2]
   FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
   WHERE c.resource_id = n.resource_id AND c.host_id = n.holder_id`,
);

export const removeHostClaims = statement<never, [claims: string]>(
  'host_claim.remove',
  `DELETE FROM host_claim AS c USING jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text)
   WHERE c.resource_id = n.resource_id AND c.host_id = n.holder_id`,
);

export const lockDatastores = statement<{ id: string }, [ids: string[]]>(
  'datastore_claim.lock',
  'SELECT datastore_id AS id FROM datastore_capacity WHERE datastore_id = ANY($1) ORDER BY datastore_id FOR NO KEY UPDATE',
);

export const findDatastoreClaims = statement<ClaimRow, [resourceIds: string[]]>(
  'datastore_claim.find',
  'SELECT resource_id, datastore_id AS holder_id, ARRAY[gib] AS amounts FROM datastore_claim WHERE resource_id = ANY($1)',
);

export const adjustDatastores = statement<{ id: string }, [changes: string]>(
  'datastore_claim.adjust',
  `UPDATE datastore_capacity AS s SET claimed_gib = s.claimed_gib + d.amounts[1]
   FROM jsonb_to_recordset($1::jsonb) AS d (id text, amounts bigint[], newcomers boolean, offer text)
   WHERE s.datastore_id = d.id
     AND (NOT d.newcomers OR s.state = 'ACTIVE')
     AND (d.offer IS NULL OR s.offer = d.offer)
     AND (d.amounts[1] <= 0 OR s.claimed_gib + d.amounts[1] <= s.limit_gib)
   RETURNING s.datastore_id AS id`,
);

export const insertDatastoreClaims = statement<never, [claims: string]>(
  'datastore_claim.insert',
  `INSERT INTO datastore_claim (resource_id, datastore_id, tenant_id, project_id, gib)
   SELECT resource_id, holder_id, tenant_id, project_id, amounts[1]
   FROM jsonb_to_recordset($1::jsonb) AS c (resource_id text, holder_id text, tenant_id text, project_id text, amounts bigint[])`,
);

export const copyDatastoreClaims = statement<never, [claims: string]>(
  'datastore_claim.copy',
  `INSERT INTO datastore_claim (resource_id, datastore_id, tenant_id, project_id, gib)
   SELECT DISTINCT ON (c.resource_id) c.resource_id, n.holder_id, c.tenant_id, c.project_id, n.amounts[1]
   FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
   JOIN datastore_claim AS c USING (resource_id)`,
);

export const resizeDatastoreClaims = statement<never, [claims: string]>(
  'datastore_claim.resize',
  `UPDATE datastore_claim AS c SET gib = n.amounts[1]
   FROM jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text, amounts bigint[])
   WHERE c.resource_id = n.resource_id AND c.datastore_id = n.holder_id`,
);

export const removeDatastoreClaims = statement<never, [claims: string]>(
  'datastore_claim.remove',
  `DELETE FROM datastore_claim AS c USING jsonb_to_recordset($1::jsonb) AS n (resource_id text, holder_id text)
   WHERE c.resource_id = n.resource_id AND c.datastore_id = n.holder_id`,
);
