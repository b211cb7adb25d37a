import { keysetList, statement } from '#database';
import { visible } from '#identity';

export interface AffinityGroupRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  policy: 'AFFINITY' | 'ANTI_AFFINITY';
  strength: 'REQUIRE' | 'PREFER';
  scope: 'HOST' | 'RACK' | 'ZONE';
  /** The cluster that it was made for. */
  owner_id: string | null;
  version: number;
  revision: number;
  created_at: Date;
}

const COLUMNS = 'id, tenant_id, project_id, name, policy, strength, scope, owner_id, version, revision, created_at';

export const findAffinityGroups = statement<AffinityGroupRow, [ids: string[]]>(
  'affinity_group.find',
  `SELECT ${COLUMNS} FROM affinity_group WHERE id = ANY($1)`,
);

export const findAffinityGroupsByReference = statement<AffinityGroupRow, [projectId: string, references: string[]]>(
  'affinity_group.find_by_reference',
  `SELECT ${COLUMNS} FROM affinity_group WHERE project_id = $1 AND (id = ANY($2) OR name = ANY($2))`,
);

/** Where the members of these groups are, one row a member, for the scheduler. */
export const findGroupHosts = statement<{ affinity_group_id: string; host_id: string }, [ids: string[]]>(
  'affinity_group.hosts',
  `SELECT affinity_group_id, host_id FROM virtual_machine
   WHERE affinity_group_id = ANY($1) AND lifecycle <> 'FAILED'`,
);

export const lockAffinityGroups = statement<{ id: string }, [ids: string[]]>(
  'affinity_group.lock',
  'SELECT id FROM affinity_group WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

/** Groups whose REQUIRE rule the present members and the new ones would break together; seen under the group's lock. */
export const brokenGroups = statement<{ id: string; name: string }, [members: string]>(
  'affinity_group.broken',
  `WITH joining AS (
     SELECT * FROM jsonb_to_recordset($1::jsonb) AS j("groupId" text, "resourceId" text, "hostId" text, "rackId" text, "zoneId" text)
   ), member AS (
     SELECT "groupId" AS group_id, "hostId" AS host_id, "rackId" AS rack_id, "zoneId" AS zone_id FROM joining
     UNION ALL
     SELECT m.affinity_group_id, m.host_id, m.rack_id, m.zone_id FROM virtual_machine AS m
     WHERE m.affinity_group_id IN (SELECT "groupId" FROM joining) AND m.lifecycle <> 'FAILED'
       AND m.id NOT IN (SELECT "resourceId" FROM joining)
   )
   SELECT g.id, g.name FROM affinity_group AS g JOIN member AS m ON m.group_id = g.id
   WHERE g.strength = 'REQUIRE'
   GROUP BY g.id
   HAVING CASE g.policy
     WHEN 'ANTI_AFFINITY' THEN count(*) > count(DISTINCT CASE g.scope WHEN 'HOST' THEN m.host_id WHEN 'RACK' THEN m.rack_id ELSE m.zone_id END)
     ELSE count(DISTINCT CASE g.scope WHEN 'HOST' THEN m.host_id WHEN 'RACK' THEN m.rack_id ELSE m.zone_id END) > 1 END`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], projectId: string | null];

export const affinityGroups = keysetList<AffinityGroupRow, ListParameters>(
  'affinity_group.list',
  `SELECT ${COLUMNS} FROM affinity_group AS g WHERE ${visible('g', 1)} AND ($4::text IS NULL OR project_id = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const groupInUse = statement<{ machines: number }, [id: string]>(
  'affinity_group.in_use',
  'SELECT count(*) AS machines FROM virtual_machine WHERE affinity_group_id = $1',
);
