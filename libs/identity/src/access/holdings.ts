import { MuonError } from '#core';
import type { Reader, Section, Transaction } from '#database';
import { findBindingsOfGroups, grantOf } from '../binding/role-binding.sql.js';
import { findHoldingsOfIssuer } from '../issuer/issuer.sql.js';
import { findHoldings } from '../principal/principal.sql.js';
import { findCustomRoles } from '../role/custom-role.sql.js';
import { sameGrants, type Access, type Grant } from './access.js';

const FIND: Readonly<Record<'principal' | 'group' | 'issuer' | 'role', (reader: Reader, id: string) => Promise<Grant[]>>> = {
  principal: async (reader, id) => (await reader.rows(findHoldings, [id])).flatMap((row) => row.grants),
  group: async (reader, id) => (await reader.rows(findBindingsOfGroups, [id])).map(grantOf),
  issuer: async (reader, id) => (await reader.first(findHoldingsOfIssuer, id))?.grants ?? [],
  role: async (reader, id) =>
    (await reader.rows(findCustomRoles, [id])).map((row) => ({ role: null, permissions: row.permissions, tenantId: row.tenant_id, projectId: null })),
};

/** What somebody, or whoever comes into something, held when the caller was found to hold as much. */
export interface Holding {
  of: keyof typeof FIND;
  id: string;
  grants: readonly Grant[];
}

/**
 * That it is still so when the change is applied: a plan that was made while a group held nothing must not let its maker in
 * after the group was given something.
 */
export const HOLDINGS: Section<Holding> = { name: 'holdings' };

/** What it holds now. */
export async function holdingOf(reader: Reader, of: Holding['of'], id: string): Promise<Holding> {
  return { of, id, grants: await FIND[of](reader, id) };
}

/** @throws FORBIDDEN when the caller does not hold all of it; add what it answers to the change set */
export async function requireHolding(reader: Reader, access: Access, of: Holding['of'], id: string, field: string): Promise<Holding> {
  const holding = await holdingOf(reader, of, id);
  access.requireHolds(holding.grants, id, field);
  return holding;
}

/** @throws CONFLICT naming the fact */
export async function applyHoldings(transaction: Transaction, items: readonly Holding[]): Promise<void> {
  for (const { of, id, grants } of items) {
    if (sameGrants((await holdingOf(transaction, of, id)).grants, grants)) continue;
    throw new MuonError('CONFLICT', `What the ${of} "${id}" holds has changed meanwhile; look again.`, { data: { fact: 'holdings', id } });
  }
}
