import { keysetList, statement } from '#database';
import { visible, type Grant } from '../access/access.js';
import type { IssuerRow } from './issuer.js';

const COLUMNS = [
  'id',
  'scope_id',
  'tenant_id',
  'project_id',
  'name',
  'url',
  'audience',
  'jwks_uri',
  'client_id',
  'subject_claim',
  'name_claim',
  'groups_claim',
  'algorithms',
  'enabled',
  'version',
  'revision',
  'created_at',
].join(', ');

export const findIssuers = statement<IssuerRow, [ids: string[]]>('issuer.find', `SELECT ${COLUMNS} FROM issuer WHERE id = ANY($1)`);

/**
 * Who could have issued a token: the system's first, as no tenant may come between the system and its people, then by the
 * order in which the token names its audiences, which is its issuer's choice and no tenant's.
 */
export const findIssuersOfToken = statement<IssuerRow, [url: string, audiences: string[]]>(
  'issuer.of_token',
  `SELECT ${COLUMNS} FROM issuer WHERE url = $1 AND audience = ANY($2) AND enabled
   ORDER BY tenant_id IS NOT NULL, array_position($2::text[], audience), id LIMIT 5`,
);

/** What people and groups of an issuer hold: whoever decides who they are could act as any of them. */
export const findHoldingsOfIssuer = statement<{ grants: Grant[] }, [id: string]>(
  'issuer.holdings',
  `SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object('role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id)), '[]') AS grants
   FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
   WHERE b.principal_id IN (SELECT id FROM principal WHERE issuer_id = $1)
     OR b.group_id IN (SELECT m.group_id FROM group_membership AS m JOIN principal AS p ON p.id = m.principal_id WHERE p.issuer_id = $1)
     OR b.group_id IN (SELECT id FROM principal_group WHERE issuer = $1)`,
);

/** Those of the system that programs may sign people in with. */
export const publicIssuers = statement<Pick<IssuerRow, 'name' | 'url' | 'audience' | 'client_id'>>(
  'issuer.public',
  `SELECT name, url, audience, client_id FROM issuer WHERE tenant_id IS NULL AND client_id IS NOT NULL AND enabled ORDER BY name LIMIT 20`,
);

/** Makes the issuer that a program brings with it, or moves it to where it is now. */
export const bringIssuer = statement<
  { id: string },
  [id: string, scopeId: string, name: string, url: string, audience: string, clientId: string, groupsClaim: string]
>(
  'issuer.bring',
  `WITH moved AS (
     INSERT INTO issuer AS i (id, scope_id, name, url, audience, client_id, subject_claim, name_claim, groups_claim, algorithms)
     VALUES ($1, $2, $3, $4, $5, $6, 'sub', 'name', $7, '{ES256}')
     ON CONFLICT (scope_id, name) DO UPDATE SET url = excluded.url, version = i.version + 1 WHERE i.url <> excluded.url
     RETURNING id
   )
   SELECT id FROM moved UNION ALL SELECT id FROM issuer WHERE scope_id = $2 AND name = $3 LIMIT 1`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], scopeId: string | null];

export const issuers = keysetList<IssuerRow, ListParameters>(
  'issuer.list',
  `SELECT ${COLUMNS} FROM issuer AS i WHERE ${visible('i', 1)} AND ($4::text IS NULL OR scope_id = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
