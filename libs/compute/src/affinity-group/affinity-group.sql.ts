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

/** Where the members of these groups are, for the scheduler: a row a member, and a second one for a member that is being moved. */
export const findGroupHosts = statement<{ affinity_group_id: string; machine_id: string; host_id: string }, [ids: string[]]>(
  'affinity_group.hosts',
  `SELECT m.affinity_group_id, m.id AS machine_id, c.host_id FROM virtual_machine AS m JOIN host_claim AS c ON c.resource_id = m.id
   WHERE m.affinity_group_id = ANY($1) AND m.lifecycle <> 'FAILED'`,
);

export const lockAffinityGroups = statement<{ id: string }, [ids: string[]]>(
  'affinity_group.lock',
  'SELECT id FROM affinity_group WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

/** As the scheduler has it: hosts without a rack are one rack a zone. */
const domain = (member: string): string =>
  `CASE g.scope WHEN 'HOST' THEN ${member}.host_id WHEN 'RACK' THEN coalesce(${member}.rack_id, ${member}.zone_id) ELSE ${member}.zone_id END`;

/**
 * Groups whose REQUIRE rule a new member would break with another, present or new; seen under the group's lock. A member that
 * is being moved counts at both of its places. A plan of the release before does not say how many may meet: then none.
 */
export const brokenGroups = statement<{ id: string; name: string }, [members: string]>(
  'affinity_group.broken',
  `WITH joining AS (
     SELECT "groupId" AS group_id, "resourceId" AS id, "replacesId" AS replaces_id, "hostId" AS host_id, "rackId" AS rack_id, "zoneId" AS zone_id, most
     FROM jsonb_to_recordset($1::jsonb) AS j("groupId" text, "resourceId" text, "hostId" text, "rackId" text, "zoneId" text, "replacesId" text, most int)
   ), member AS (
     SELECT group_id, id, host_id, rack_id, zone_id FROM joining
     UNION ALL
     SELECT v.affinity_group_id, v.id, h.id, h.rack_id, h.zone_id
     FROM virtual_machine AS v JOIN host_claim AS c ON c.resource_id = v.id JOIN host AS h ON h.id = c.host_id
     WHERE v.affinity_group_id IN (SELECT group_id FROM joining) AND v.lifecycle <> 'FAILED'
       AND NOT EXISTS (SELECT FROM joining AS j WHERE v.id IN (j.id, j.replaces_id))
   )
   SELECT DISTINCT g.id, g.name FROM affinity_group AS g JOIN joining AS j ON j.group_id = g.id
   CROSS JOIN LATERAL (
     SELECT count(DISTINCT m.id) FILTER (WHERE ${domain('j')} = ${domain('m')}) AS there, count(*) FILTER (WHERE ${domain('j')} <> ${domain('m')}) AS elsewhere
     FROM member AS m WHERE m.group_id = g.id AND m.id <> j.id
   ) AS others
   WHERE g.strength = 'REQUIRE' AND CASE g.policy WHEN 'ANTI_AFFINITY' THEN others.there >= coalesce(j.most, 1) ELSE others.elsewhere > 0 END`,
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
