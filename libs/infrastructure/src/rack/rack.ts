import { defineId, type Id } from '#core';
import type { CatalogueState } from '../zone/zone.js';

export const rackId = defineId('rck');
export type RackId = Id<'rck'>;

/** Hosts that share power and a switch. */
export interface RackRow {
  id: string;
  tenant_id: null;
  project_id: null;
  zone_id: string;
  name: string;
  state: CatalogueState;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}
