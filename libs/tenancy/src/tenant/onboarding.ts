import { z } from 'zod';
import { invalidInput, nameSchema, notFound } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { findPrincipals, newBindingRow, newPrincipalRows, newTokenRow, Role, type NewToken } from '#identity';
import { newQuotaRows, quotaLinesSchema, type QuotaLine } from '#quota';
import { findScopeByName, projectId, SCOPES, SYSTEM_SCOPE_ID, tenantId } from '#scopes';
import { findZones, type ZoneRow } from '#infrastructure';
import { resolveZones, zoneGrantId } from '../zone-grant/zone-grant.js';
import { nameTaken, newScopeShape, zoneReferencesSchema } from './tenant.js';

const MAX_OWNERS = 20;

const ownerSchema = z
  .strictObject({ name: nameSchema.optional(), principalId: z.string().max(100).optional() })
  .refine((owner) => (owner.name === undefined) !== (owner.principalId === undefined), 'Give a name for a new user, or the id of a principal.');

export const onboardTenantInput = z.strictObject({
  ...newScopeShape,
  /** Limits of the tenant; what is not named is unlimited. */
  quota: quotaLinesSchema.default([]),
  /** Users made in the tenant, or principals of the system; each becomes OWNER of the tenant. */
  owners: z.array(ownerSchema).min(1, 'A tenant needs an owner.').max(MAX_OWNERS, `At most ${MAX_OWNERS} owners can be named.`),
  /** A token for the first owner, who must be new. */
  ownerToken: z.boolean().default(false),
  /** Names or ids of the zones that it may use; left out for all there are and will be. */
  zones: zoneReferencesSchema.nullish(),
  /** A first project; its lines are carved out of the tenant's. */
  project: z.strictObject({ ...newScopeShape, quota: quotaLinesSchema.default([]) }).nullish(),
});
export type OnboardTenantInput = z.input<typeof onboardTenantInput>;
type Onboarding = z.output<typeof onboardTenantInput>;

export const OWNER_TOKEN_NAME = 'onboarding';

/**
 * Everything that a new tenant is made of, by rows alone: whatever is new can be neither locked nor charged by others, so
 * one statement a table makes it all.
 * @param token for the first owner; undefined makes none
 */
export async function planOnboarding(reader: Reader, input: Onboarding, token: NewToken | undefined): Promise<ChangeSet> {
  const changes = new ChangeSet();
  const id = tenantId.create();
  const project = input.project == null ? null : { ...input.project, id: projectId.create() };
  if ((await reader.first(findScopeByName, SYSTEM_SCOPE_ID, input.name)) !== undefined) {
    changes.problems.push(nameTaken('tenant name', 'input.name').toRecord());
  }
  const zones = input.zones == null ? null : await resolveZones(reader, input.zones, 'input.zones');
  await requireQuotaZones(reader, input, zones);

  changes.add(SCOPES, { scopeId: SYSTEM_SCOPE_ID, need: 'EXISTING' });
  addScopes(changes, id, input, zones !== null, project);
  for (const zone of zones ?? []) {
    changes.add(ROWS, { table: 'zone_grant', insert: { id: zoneGrantId.create(), tenant_id: id, project_id: null, zone_id: zone.id } });
  }
  const ownerIds = await addOwners(reader, changes, id, input, token);
  const quota = newQuotaRows({
    tenantId: id,
    tenantName: input.name,
    lines: withFields(input.quota, 'input.quota'),
    ...(project === null ? {} : { project: { id: project.id, name: project.name, lines: withFields(project.quota, 'input.project.quota') } }),
  });
  changes.add(ROWS, ...quota.rows);
  changes.problems.push(...quota.problems);
  changes.reasons.push(...quota.reasons, {
    subject: 'zones',
    message: zones === null ? 'all zones, now and later' : zones.map((zone) => zone.name).join(', ') || 'no zone yet',
  });
  changes.result = { id, projectId: project?.id ?? null, ownerIds, tokenId: token?.id ?? null };
  return changes;
}

function addScopes(
  changes: ChangeSet,
  id: string,
  input: Onboarding,
  someZones: boolean,
  project: { id: string; name: string; displayName: string } | null,
): void {
  const scope = { parent_id: SYSTEM_SCOPE_ID, tenant_id: id };
  changes.add(ROWS, { table: 'scope', insert: { ...scope, id, kind: 'TENANT', project_id: null, name: input.name } });
  const tenant = { id, tenant_id: id, project_id: null, display_name: input.displayName, all_zones: !someZones };
  changes.add(ROWS, { table: 'tenant', insert: tenant });
  changes.resources.push({ action: 'CREATE', kind: 'tenant', id, name: input.name });
  if (project !== null) addProjectRows(changes, id, project);
}

/** The rows of a project of a tenant that is there or comes with the same change set. */
export function addProjectRows(
  changes: ChangeSet,
  tenant: string,
  project: { id: string; name: string; displayName: string },
): void {
  const { id, name, displayName } = project;
  changes.add(ROWS, {
    table: 'scope',
    insert: { id, kind: 'PROJECT', parent_id: tenant, tenant_id: tenant, project_id: id, name },
  });
  changes.add(ROWS, { table: 'project', insert: { id, tenant_id: tenant, project_id: id, display_name: displayName } });
  changes.resources.push({ action: 'CREATE', kind: 'project', id, name });
}

async function addOwners(
  reader: Reader,
  changes: ChangeSet,
  tenant: string,
  input: Onboarding,
  token: NewToken | undefined,
): Promise<string[]> {
  const scope = { scopeId: tenant, tenantId: tenant, projectId: null };
  const named = input.owners.flatMap((owner) => owner.principalId ?? []);
  const known = named.length === 0 ? [] : await reader.rows(findPrincipals, named);
  const names = input.owners.flatMap((owner) => owner.name ?? []);
  if (new Set([...named, ...names]).size < input.owners.length) throw invalidInput('input.owners', 'Each owner may be named once.');
  const ids: string[] = [];
  for (const [index, owner] of input.owners.entries()) {
    if (owner.name !== undefined) {
      const made = newPrincipalRows(scope, { kind: 'USER', name: owner.name, role: Role.OWNER });
      changes.add(ROWS, ...made.rows);
      changes.resources.push({ action: 'CREATE', kind: 'user', id: made.id, name: owner.name, data: { role: Role.OWNER } });
      ids.push(made.id);
      continue;
    }
    const id = owner.principalId ?? '';
    const principal = known.find((row) => row.id === id);
    if (principal === undefined) throw notFound('principal', id, `input.owners.${index}.principalId`);
    if (principal.tenant_id !== null) {
      throw invalidInput(`input.owners.${index}.principalId`, 'A principal of another tenant cannot own this one; name one of the system.');
    }
    changes.add(ROWS, newBindingRow(scope, id, Role.OWNER));
    changes.resources.push({ action: 'CREATE', kind: 'role binding', id, name: `${principal.name}: ${Role.OWNER}` });
    ids.push(id);
  }
  const [first] = ids;
  if (input.ownerToken && input.owners[0]?.name === undefined) {
    throw invalidInput('input.ownerToken', 'Only an owner who is made here gets a token: name a new user first.');
  }
  if (token !== undefined && first !== undefined) changes.add(ROWS, newTokenRow(scope, first, OWNER_TOKEN_NAME, token, null));
  return ids;
}

async function requireQuotaZones(reader: Reader, input: Onboarding, zones: readonly ZoneRow[] | null): Promise<void> {
  const lines = [...withFields(input.quota, 'input.quota'), ...withFields(input.project?.quota ?? [], 'input.project.quota')];
  const ids = [...new Set(lines.flatMap((line) => line.zoneId ?? []))];
  if (ids.length === 0) return;
  const known = new Set((zones ?? (await reader.rows(findZones, ids))).map((zone) => zone.id));
  const wrong = lines.find((line) => line.zoneId !== null && !known.has(line.zoneId));
  if (wrong !== undefined) throw notFound('zone', wrong.zoneId ?? '', `${wrong.field}.zoneId`);
}

export function withFields(lines: readonly QuotaLine[], field: string): (QuotaLine & { field: string })[] {
  return lines.map((line, index) => ({ ...line, field: `${field}.${index}` }));
}
