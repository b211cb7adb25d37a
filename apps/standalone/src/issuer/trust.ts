import { MuonError } from '#core';
import { insertRows, type Database } from '#database';
import { bringIssuer, findClaimedGroups, groupId, issuerId, roleBindingId, type Access } from '#identity';
import { findScopeByName, SYSTEM_SCOPE_ID, type ScopeRow } from '#scopes';
import { TenantService } from '#tenancy';
import type { House } from '../../../composition/src/house.js';
import { EXAMPLE, PEOPLE, type Person } from './people.js';
import { AUDIENCE, CLIENT_ID } from './provider.js';

const NAME = 'development';

/**
 * Lets the people of the development issuer in, and makes what they share at the first start: a tenant with a project, and
 * for each of them a group with its role. What somebody has taken away since stays away.
 * @param owner of the system
 */
export async function trustDevelopmentIssuer(house: House, owner: Access, url: string): Promise<void> {
  const { database } = house;
  const issuer = await database.transaction((transaction) =>
    transaction.first(bringIssuer, issuerId.create(), SYSTEM_SCOPE_ID, NAME, url, AUDIENCE, CLIENT_ID, 'groups'),
  );
  if (issuer === undefined) throw new MuonError('CONFLICT', 'The development issuer is being made by another process.');
  const made = await database.rows(findClaimedGroups, SYSTEM_SCOPE_ID, issuer.id, PEOPLE.map(({ group }) => group));
  const missing = PEOPLE.filter(({ group }) => !made.some(({ name }) => name === group));
  if (missing.length === 0) return;
  const scopes = await exampleScopes(house, owner);
  for (const person of missing) await giveRole(database, issuer.id, person, scopes[person.holds.on]);
}

type PlaceOfScope = Pick<ScopeRow, 'id' | 'tenant_id' | 'project_id'>;

async function exampleScopes(house: House, owner: Access): Promise<Record<Person['holds']['on'], PlaceOfScope>> {
  const { database } = house;
  const tenant = async (): Promise<ScopeRow | undefined> => database.first(findScopeByName, SYSTEM_SCOPE_ID, EXAMPLE.tenant);
  if ((await tenant()) === undefined) {
    const service = house.services.find((each) => each instanceof TenantService);
    await service?.onboard(owner, { name: EXAMPLE.tenant, owners: [{ principalId: owner.principal.id }], project: { name: EXAMPLE.project } });
  }
  const found = await tenant();
  const project = found === undefined ? undefined : await database.first(findScopeByName, found.id, EXAMPLE.project);
  if (found === undefined || project === undefined) {
    throw new MuonError('INVALID_STATE', `The tenant "${EXAMPLE.tenant}" has no project "${EXAMPLE.project}" for the people of the development issuer.`);
  }
  return { SYSTEM: { id: SYSTEM_SCOPE_ID, tenant_id: null, project_id: null }, TENANT: found, PROJECT: project };
}

/** The group and what it holds, both or none. */
async function giveRole(database: Database, issuer: string, { group, holds }: Person, scope: PlaceOfScope): Promise<void> {
  const id = groupId.create();
  const system = { scope_id: SYSTEM_SCOPE_ID, tenant_id: null, project_id: null };
  const place = { scope_id: scope.id, tenant_id: scope.tenant_id, project_id: scope.project_id };
  await database.transaction(async (transaction) => {
    await insertRows(transaction, 'principal_group', [{ id, ...system, issuer, name: group }]);
    await insertRows(transaction, 'role_binding', [{ id: roleBindingId.create(), group_id: id, ...place, role: holds.role }]);
  });
}
