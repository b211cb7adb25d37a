import { keysetList, statement } from '#database';
import { visible, type Grant } from '../access/access.js';

/** SQL for everything that a principal holds, by itself and by its groups, as `Grant[]`. @param id the principal's, in SQL */
export function grantsOf(id: string): string {
  return `coalesce((SELECT jsonb_agg(jsonb_build_object(
      'role', b.role, 'permissions', c.permissions, 'tenantId', b.tenant_id, 'projectId', b.project_id))
    FROM (SELECT own.* FROM role_binding AS own WHERE own.principal_id = ${id}
          UNION ALL
          SELECT via.* FROM group_membership AS m JOIN role_binding AS via ON via.group_id = m.group_id WHERE m.principal_id = ${id}
         ) AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id), '[]')`;
}

export interface CredentialRow {
  token_id: string;
  secret_hash: string;
  expires_at: Date | null;
  principal_id: string;
  kind: 'USER' | 'SERVICE_ACCOUNT';
  name: string;
  tenant_id: string | null;
  grants: Grant[];
}

/** Everything that a request needs to know of its caller, in one look-up; revoked, expired and disabled ones find nothing, nor do those of people whose issuer is not trusted now. */
export const findCredentials = statement<CredentialRow, [tokenIds: string[]]>(
  'principal.credentials',
  `SELECT t.id AS token_id, t.secret_hash, t.expires_at, p.id AS principal_id, p.kind, p.name, p.tenant_id,
     ${grantsOf('p.id')} AS grants
   FROM api_token AS t JOIN principal AS p ON p.id = t.principal_id
   WHERE t.id = ANY($1) AND t.revoked_at IS NULL AND p.disabled_at IS NULL
     AND (t.expires_at IS NULL OR t.expires_at > now())
     AND NOT EXISTS (SELECT 1 FROM issuer AS i WHERE i.id = p.issuer_id AND NOT i.enabled)`,
);

/** At most once a minute a token, so that reading costs no writes. */
export const touchTokens = statement<never, [tokenIds: string[]]>(
  'principal.touch_tokens',
  `UPDATE api_token SET last_used_at = now()
   WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`,
);

export interface PrincipalRow {
  id: string;
  kind: 'USER' | 'SERVICE_ACCOUNT';
  scope_id: string;
  tenant_id: string | null;
  project_id: string | null;
  name: string;
  disabled_at: Date | null;
  issuer_id: string | null;
  email: string | null;
  version: number;
  revision: number;
  created_at: Date;
}

const COLUMNS = 'id, kind, scope_id, tenant_id, project_id, name, disabled_at, issuer_id, email, version, revision, created_at';

export const findPrincipals = statement<PrincipalRow, [ids: string[]]>(
  'principal.find',
  `SELECT ${COLUMNS} FROM principal WHERE id = ANY($1)`,
);

export interface TokenRow {
  id: string;
  principal_id: string;
  tenant_id: string | null;
  project_id: string | null;
  name: string;
  expires_at: Date | null;
  revoked_at: Date | null;
  last_used_at: Date | null;
  version: number;
  created_at: Date;
}

export const findTokens = statement<TokenRow, [ids: string[]]>(
  'principal.find_tokens',
  `SELECT id, principal_id, tenant_id, project_id, name, expires_at, revoked_at, last_used_at, version, created_at
   FROM api_token WHERE id = ANY($1)`,
);

export const findTokensOfPrincipals = statement<TokenRow, [principalIds: string[]]>(
  'principal.find_tokens_of',
  `SELECT id, principal_id, tenant_id, project_id, name, expires_at, revoked_at, last_used_at, version, created_at
   FROM api_token WHERE principal_id = ANY($1) ORDER BY principal_id, id`,
);

export const insertBootstrapToken = statement<never, [id: string, principalId: string, secretHash: string]>(
  'principal.bootstrap_token',
  `INSERT INTO api_token (id, principal_id, name, secret_hash) VALUES ($1, $2, 'bootstrap', $3)
   ON CONFLICT (principal_id, name) DO UPDATE SET id = excluded.id, secret_hash = excluded.secret_hash, revoked_at = NULL
   WHERE api_token.secret_hash <> excluded.secret_hash`,
);

export const insertBootstrapOwner = statement<{ id: string }, [id: string, scopeId: string]>(
  'principal.bootstrap_owner',
  `WITH made AS (
     INSERT INTO principal (id, kind, scope_id, name) VALUES ($1, 'USER', $2, 'owner')
     ON CONFLICT (scope_id, kind, name) WHERE issuer_id IS NULL DO NOTHING RETURNING id
   )
   SELECT id FROM made UNION ALL SELECT id FROM principal WHERE scope_id = $2 AND kind = 'USER' AND name = 'owner' AND issuer_id IS NULL LIMIT 1`,
);

export const insertBootstrapBinding = statement<never, [id: string, principalId: string, scopeId: string]>(
  'principal.bootstrap_binding',
  `INSERT INTO role_binding (id, principal_id, scope_id, role) VALUES ($1, $2, $3, 'OWNER')
   ON CONFLICT (principal_id, scope_id, role) DO NOTHING`,
);

/** What a principal holds, by itself and by its groups. */
export const findHoldings = statement<{ id: string; grants: Grant[] }, [ids: string[]]>(
  'principal.holdings',
  `SELECT p.id, ${grantsOf('p.id')} AS grants FROM principal AS p WHERE p.id = ANY($1)`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], scopeId: string | null];

export const principals = keysetList<PrincipalRow, ListParameters>(
  'principal.list',
  `SELECT ${COLUMNS} FROM principal AS p WHERE ${visible('p', 1)} AND ($4::text IS NULL OR scope_id = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
