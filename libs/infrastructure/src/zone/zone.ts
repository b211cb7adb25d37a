import { defineId, type Id } from '#core';

export const zoneId = defineId('zon');
export type ZoneId = Id<'zon'>;

/** What is deleted while in use is PENDING_DELETE: it takes no new users and goes with its last one. */
export const CatalogueState = { ACTIVE: 'ACTIVE', PENDING_DELETE: 'PENDING_DELETE' } as const;
export type CatalogueState = (typeof CatalogueState)[keyof typeof CatalogueState];

/** An availability zone: what fails together, seen from outside. */
export interface ZoneRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  description: string;
  state: CatalogueState;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}
