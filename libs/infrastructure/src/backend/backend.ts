import { defineId, type Id, type JsonObject } from '#core';
import type { Capabilities } from '#drivers';
import type { SecretRef } from '#secrets';
import type { CatalogueState } from '../zone/zone.js';

export const backendId = defineId('bck');
export type BackendId = Id<'bck'>;

/** Whether a thing answers. UNKNOWN: it has not been asked yet, or who could tell does not answer. */
export const Health = { UNKNOWN: 'UNKNOWN', UP: 'UP', DOWN: 'DOWN' } as const;
export type Health = (typeof Health)[keyof typeof Health];

/** Something that runs machines, networks or disks, reached by a driver of its kind. */
export interface BackendRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  /** Which driver serves it, as `simulated`. */
  kind: string;
  endpoint: string;
  secret_ref: SecretRef | null;
  options: JsonObject;
  max_concurrent_calls: number;
  /** For calls that no operation gives a timeout: heartbeats, inventory, fencing. */
  call_timeout_ms: number;
  state: CatalogueState;
  /** As the driver declared them when it was last opened. */
  capabilities: Partial<Capabilities>;
  health: Health;
  health_since: Date;
  /** Why it is DOWN. */
  health_reason: string | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}
