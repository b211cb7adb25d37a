import { keysetList, statement } from '#database';
import type { FirewallPolicyRow } from './firewall-policy.js';

const COLUMNS = `id, name, description, position, scope_tenant_id, scope_project_id, rules, lifecycle, failure, version, revision, created_at,
  updated_at`;

export const findFirewallPolicies = statement<FirewallPolicyRow, [ids: string[]]>(
  'firewall_policy.find',
  `SELECT ${COLUMNS} FROM firewall_policy WHERE id = ANY($1) ORDER BY id`,
);

export const findPoliciesInForce = statement<FirewallPolicyRow>(
  'firewall_policy.in_force',
  `SELECT ${COLUMNS} FROM firewall_policy WHERE lifecycle IN ('CREATING', 'PRESENT') ORDER BY position`,
);

export const findPolicyTwin = statement<Pick<FirewallPolicyRow, 'id' | 'name' | 'position'>, [name: string, position: number]>(
  'firewall_policy.twin',
  'SELECT id, name, position FROM firewall_policy WHERE name = $1 OR position = $2 ORDER BY id',
);

/** @param exceptId whose rules are about to be replaced */
export const countPolicies = statement<{ count: number; last: number; rules: number }, [exceptId: string | null]>(
  'firewall_policy.count',
  `SELECT count(*) AS count, coalesce(max(position), 0) AS last,
     coalesce(sum(jsonb_array_length(rules)) FILTER (WHERE id IS DISTINCT FROM $1), 0)::float8 AS rules FROM firewall_policy`,
);

export const firewallPolicies = keysetList<FirewallPolicyRow, [name: string | null, tenantId: string | null]>(
  'firewall_policy.list',
  `SELECT ${COLUMNS} FROM firewall_policy
   WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR scope_tenant_id = $2)`,
  2,
  {
    POSITION: { column: 'position', direction: 'ASC', type: 'bigint' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const policyMade = statement<never, [id: string]>(
  'firewall_policy.made',
  `UPDATE firewall_policy SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

/** It is in force no longer; its name and position stay taken until it is deleted. */
export const failPolicy = statement<never, [id: string, failure: string | null]>(
  'firewall_policy.fail',
  `UPDATE firewall_policy SET failure = coalesce($2::jsonb, failure),
     lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END WHERE id = $1`,
);

export const remakePolicy = statement<never, [id: string]>(
  'firewall_policy.remake',
  `UPDATE firewall_policy SET lifecycle = 'CREATING', failure = NULL WHERE id = $1 AND lifecycle = 'FAILED'`,
);

export const restorePolicy = statement<never, [id: string, position: number, rules: string]>(
  'firewall_policy.restore',
  'UPDATE firewall_policy SET position = $2, rules = $3::jsonb, version = version + 1 WHERE id = $1',
);

/** Its deletion was called off before it began. */
export const policyKept = statement<never, [id: string]>(
  'firewall_policy.kept',
  `UPDATE firewall_policy SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const removePolicy = statement<never, [id: string]>('firewall_policy.remove', 'DELETE FROM firewall_policy WHERE id = $1');

const RAISE = `
  INSERT INTO firewall_scope (tenant_id, changed_revision) SELECT scope.tenant_id, next.revision FROM scope, next
  ON CONFLICT (tenant_id) DO UPDATE SET changed_revision = excluded.changed_revision, changed_at = now()`;
const NEXT = 'next AS (UPDATE firewall SET last_revision = last_revision + 1 RETURNING last_revision AS revision)';

/** @param tenantId whose ports the policy is about; '' for everybody's */
export const raiseFirewallRevision = statement<never, [tenantId: string]>(
  'firewall.raise_revision',
  `WITH scope AS (SELECT $1::text AS tenant_id), ${NEXT} ${RAISE}`,
);

export const raiseRevisionOfPolicy = statement<never, [policyId: string]>(
  'firewall.raise_revision_of_policy',
  `WITH scope AS (SELECT coalesce(scope_tenant_id, '') AS tenant_id FROM firewall_policy WHERE id = $1), ${NEXT} ${RAISE}`,
);

/** The last that any backend may have been told. */
export const readFirewallRevision = statement<{ revision: number }>('firewall.last_revision', 'SELECT last_revision AS revision FROM firewall');

export interface FirewallPlaceRow {
  backend_id: string;
  /** What its ports need: policies of other tenants may have changed since. */
  desired_revision: number;
  realised_revision: number;
  changed_at: Date;
}

const OFFERS_FIREWALL = `k.capabilities @> '{"firewall": true}'`;

/**
 * Backends that policies are about: those with networks, and those that were told before and whose networks are gone since.
 * All, those with networks of one tenant, or a single one, which answers for what it was told of tenants that are gone, too.
 * What offers no firewall is told nothing: it would be refused, and so would whoever takes it back.
 */
export const findFirewallPlaces = statement<FirewallPlaceRow & { has_ports: boolean }, [backendId: string | null, tenantId: string | null]>(
  'firewall.places',
  `SELECT b.backend_id, max(s.changed_revision) AS desired_revision, coalesce(max(r.realised_revision), 0) AS realised_revision,
     max(s.changed_at) AS changed_at,
     EXISTS (SELECT FROM port AS p WHERE p.backend_id = b.backend_id AND p.realised_revision > 0) AS has_ports
   FROM (
     SELECT DISTINCT nb.backend_id, n.tenant_id FROM network_backend AS nb JOIN network AS n ON n.id = nb.network_id
     WHERE $1::text IS NULL OR nb.backend_id = $1
     UNION ALL
     SELECT backend_id, '' FROM firewall_backend WHERE $1::text IS NULL OR backend_id = $1
   ) AS b
   JOIN backend AS k ON k.id = b.backend_id AND ${OFFERS_FIREWALL}
   JOIN firewall_scope AS s ON s.tenant_id = b.tenant_id OR s.tenant_id = '' OR ($1::text IS NOT NULL AND b.tenant_id = '')
   LEFT JOIN firewall_backend AS r ON r.backend_id = b.backend_id
   GROUP BY b.backend_id
   HAVING $2::text IS NULL OR bool_or(b.tenant_id = $2)
   ORDER BY b.backend_id`,
);

/** The same for ports of these tenants on these backends, pair by pair. */
export const findFirewallNeeds = statement<FirewallPlaceRow, [backendIds: string[], tenantIds: string[]]>(
  'firewall.needs',
  `SELECT b.backend_id, max(s.changed_revision) AS desired_revision, coalesce(max(r.realised_revision), 0) AS realised_revision,
     max(s.changed_at) AS changed_at
   FROM unnest($1::text[], $2::text[]) AS b (backend_id, tenant_id)
   JOIN backend AS k ON k.id = b.backend_id AND ${OFFERS_FIREWALL}
   JOIN firewall_scope AS s ON s.tenant_id = b.tenant_id OR s.tenant_id = ''
   LEFT JOIN firewall_backend AS r ON r.backend_id = b.backend_id
   GROUP BY b.backend_id ORDER BY b.backend_id`,
);

/** Networks of a tenant or project, or of all, on backends that keep no policy; some of those backends by name. */
export const countOpenNetworks = statement<{ networks: number; backends: string[] }, [tenantId: string | null, projectId: string | null]>(
  'firewall.open_networks',
  `SELECT count(DISTINCT n.id) AS networks, coalesce((array_agg(DISTINCT k.name))[1:10], '{}') AS backends
   FROM backend AS k JOIN network_backend AS nb ON nb.backend_id = k.id JOIN network AS n ON n.id = nb.network_id
   WHERE NOT ${OFFERS_FIREWALL} AND ($1::text IS NULL OR n.tenant_id = $1) AND ($2::text IS NULL OR n.project_id = $2)`,
);

export const markFirewallRealised = statement<never, [backendIds: string[], revision: number]>(
  'firewall_backend.mark_realised',
  `INSERT INTO firewall_backend AS r (backend_id, realised_revision)
   SELECT b.id, $2::bigint FROM unnest($1::text[]) AS b (id) ORDER BY b.id
   ON CONFLICT (backend_id) DO UPDATE SET realised_revision = greatest(r.realised_revision, excluded.realised_revision)`,
);

/** The part of backends that bears the installation's id. */
export const findFirewalls = statement<{ id: string }, [ids: string[]]>('firewall.find', 'SELECT id FROM installation WHERE id = ANY($1)');
