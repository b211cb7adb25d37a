/** What is in use and deleted takes no new users and goes with its last one (DESIGN §8). */
export const CatalogueState = { ACTIVE: 'ACTIVE', PENDING_DELETE: 'PENDING_DELETE' } as const;
export type CatalogueState = (typeof CatalogueState)[keyof typeof CatalogueState];
