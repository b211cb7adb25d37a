import { z } from 'zod';
import { MuonError, nameSchema } from '#core';
import { constraintMeans } from '#database';
import type { ScopeState } from '#scopes';

/** A tenant as its scope and its own row tell. */
export interface TenantRow {
  id: string;
  tenant_id: string;
  project_id: null;
  name: string;
  display_name: string;
  state: ScopeState;
  all_zones: boolean;
  deletion_operation_id: string | null;
  /** The version of the scope, for changes of state. */
  scope_version: number;
  version: number;
  revision: number;
  created_at: Date;
}

export const displayNameSchema = z.string().max(100, 'A display name has at most 100 characters.');
export const zoneReferencesSchema = z.array(z.string().min(1).max(100)).max(50, 'At most 50 zones can be named.');
export const versionSchema = z.number().int().min(0).nullish();

/** The name and texts of a scope that is being made. */
export const newScopeShape = { name: nameSchema, displayName: displayNameSchema.default('') };

constraintMeans('scope_name', () => nameTaken('name', 'input.name'));

/** @param noun what the name would be of */
export function nameTaken(noun: string, field: string): MuonError {
  return new MuonError('ALREADY_EXISTS', `This ${noun} is taken here; choose another one.`, { field });
}
