import { statement, type Transaction } from '#database';

const removePrincipals = statement<never, [scopeIds: string[]]>(
  'principal.remove_of_scopes',
  `WITH bindings AS (DELETE FROM role_binding WHERE scope_id = ANY($1)),
     groups AS (DELETE FROM principal_group WHERE scope_id = ANY($1)),
     roles AS (DELETE FROM custom_role WHERE tenant_id = ANY($1))
   DELETE FROM principal WHERE scope_id = ANY($1)`,
);

const removeIssuers = statement<never, [scopeIds: string[]]>('issuer.remove_of_scopes', 'DELETE FROM issuer WHERE scope_id = ANY($1)');

/** Removes roles on these scopes, and the principals, groups and issuers that belong to them with their tokens: for scopes that are going. */
export async function removePrincipalsOf(transaction: Transaction, scopeIds: readonly string[]): Promise<void> {
  await transaction.execute(removePrincipals, [...scopeIds]);
  await transaction.execute(removeIssuers, [...scopeIds]);
}
