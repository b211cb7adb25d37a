import { statement } from '#database';

export interface ExpectedGroup {
  id: string;
  tenant_id: string;
  project_id: string;
  desired_revision: number;
  realised_revision: number;
}

/** Groups that a backend shall have and was known to have, by id; what has only just changed is left out. */
export const findExpectedGroups = statement<ExpectedGroup, [backendId: string, after: string, limit: number, unchangedSince: Date]>(
  'network_drift.expected_groups',
  `SELECT g.id, g.tenant_id, g.project_id, g.desired_revision, b.realised_revision
   FROM security_group_backend AS b JOIN security_group AS g ON g.id = b.security_group_id
   WHERE b.backend_id = $1 AND g.id > $2 AND b.realised_revision > 0 AND g.lifecycle = 'PRESENT' AND g.updated_at < $4
   ORDER BY g.id LIMIT $3::int`,
);
