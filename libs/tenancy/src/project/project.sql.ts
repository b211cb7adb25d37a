import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { ProjectRow } from './project.js';

const COLUMNS = `p.id, p.tenant_id, p.project_id, s.name, p.display_name, s.state, t.name AS tenant_name, t.state AS tenant_state,
  p.deletion_operation_id, s.version AS scope_version, p.version, p.revision, p.created_at`;
const FROM = 'FROM project AS p JOIN scope AS s ON s.id = p.id JOIN scope AS t ON t.id = p.tenant_id';

export const findProjects = statement<ProjectRow, [ids: string[]]>('project.find', `SELECT ${COLUMNS} ${FROM} WHERE p.id = ANY($1)`);

/** By name, within a tenant or among all that the caller may see; two rows mean that the name alone does not tell. */
export const findProjectsByName = statement<
  ProjectRow,
  [all: boolean, tenantIds: string[], projectIds: string[], name: string, tenantId: string | null]
>(
  'project.find_by_name',
  `SELECT ${COLUMNS} ${FROM} WHERE ${visible('p', 1)} AND s.name = $4 AND ($5::text IS NULL OR p.tenant_id = $5) LIMIT 2`,
);

type ListParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  tenantId: string | null,
  state: string | null,
  name: string | null,
];

/** @param name a part of the name or display name, whatever its case */
export const projects = keysetList<ProjectRow, ListParameters>(
  'project.list',
  `SELECT ${COLUMNS} ${FROM}
   WHERE ${visible('p', 1)} AND ($4::text IS NULL OR p.tenant_id = $4) AND ($5::text IS NULL OR s.state = $5)
     AND ($6::text IS NULL OR strpos(lower(s.name || ' ' || p.display_name), lower($6)) > 0)`,
  6,
  {
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    OLDEST: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
  },
);
