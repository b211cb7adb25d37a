import { z } from 'zod';
import { descriptionSchema, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { CHARGES } from '#quota';
import { findScopes, requireActive, SCOPES, type ScopeRow } from '#scopes';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { NETWORK_COUNT } from '../quota-keys.js';
import { planSubnet, subnetSchema, type PlannedSubnet } from '../subnet/subnet-plan.js';
import { networkId, type NetworkRow } from './network.js';
import { findNetworksByReference } from './network.sql.js';

constraintMeans('network_name', () => nameTaken());

function nameTaken(): MuonError {
  return new MuonError('ALREADY_EXISTS', 'A network of this name exists already in the project.', { field: 'input.name' });
}

export const createNetworkInput = z.strictObject({
  projectId: z.string().max(100),
  name: nameSchema,
  description: descriptionSchema.default(''),
  /** A first subnet, made together with the network; `{}` lets Muon choose a free block. */
  subnet: subnetSchema.optional(),
});
export type CreateNetworkInput = z.input<typeof createNetworkInput>;

export interface PlannedNetwork {
  /** Rows, charge and claims, without operation, locks and scope locks: whoever composes it adds those. */
  changes: ChangeSet;
  networkId: string;
  name: string;
  tenantId: string;
  projectId: string;
  subnet: PlannedSubnet | null;
}

/** An active project that the caller may make things in. @throws NOT_FOUND, FORBIDDEN, INVALID_STATE */
export async function requireProject(reader: Reader, access: Access, id: string, field: string): Promise<ScopeRow & { tenant_id: string }> {
  const [scope] = await reader.rows(findScopes, [id]);
  const row = scope?.kind === 'PROJECT' ? { ...scope, tenantId: scope.tenant_id, projectId: scope.id } : undefined;
  const project = access.requireChild('network', 'project', row, id, field);
  requireActive(project);
  return project as ScopeRow & { tenant_id: string };
}

/**
 * Plans a network, and with it its first subnet. A network is realised lazily, on each backend where its first port lands.
 * @param options.backendIds backends that shall have it from the start: then it is CREATING until an operation has made it
 * so, and takes no users before; without them it can be used at once, also by the rest of the same change set
 */
export async function planNetwork(
  reader: Reader,
  access: Access,
  raw: CreateNetworkInput,
  options: { backendIds?: readonly string[]; field?: string } = {},
): Promise<PlannedNetwork> {
  const field = options.field ?? 'input';
  const backendIds = options.backendIds ?? [];
  const lifecycle = backendIds.length > 0 ? 'CREATING' : 'PRESENT';
  const input = parseInput(createNetworkInput, raw, field);
  const project = await requireProject(reader, access, input.projectId, `${field}.projectId`);
  const place = { networkId: networkId.create() as string, tenantId: project.tenant_id, projectId: project.id };
  const changes = new ChangeSet();
  const [twin] = await reader.rows(findNetworksByReference, project.id, [input.name]);
  if (twin !== undefined) changes.problems.push(nameTaken().toRecord());
  const { name, description } = input;
  changes.add(ROWS, {
    table: 'network',
    insert: { id: place.networkId, tenant_id: place.tenantId, project_id: place.projectId, name, description, lifecycle },
  });
  changes.add(CHARGES, {
    action: 'CHARGE',
    resourceId: place.networkId,
    resourceKind: networkId.prefix,
    tenantId: place.tenantId,
    projectId: place.projectId,
    zoneId: null,
    amounts: { [NETWORK_COUNT]: 1 },
  });
  for (const backendId of backendIds) {
    changes.add(ADDRESS_CLAIMS, { action: 'SPAN', networkId: place.networkId, backendId });
  }
  changes.resources.push({ action: 'CREATE', kind: 'network', id: place.networkId, name });
  const subnet = input.subnet === undefined ? null : await planSubnet(reader, changes, { ...place, lifecycle }, input.subnet, `${field}.subnet`);
  return { changes, ...place, name, subnet };
}

/**
 * What ends networks that were made for something else and go with it: rows, subnets and charges. For the change set of
 * whoever owned them; they are on no backend any more. Applying it is refused while anything else uses them.
 */
export function planNetworkRemoval(networkIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  if (networkIds.length === 0) return changes;
  changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_NETWORKS', networkIds: [...networkIds] });
  changes.add(CHARGES, ...networkIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}

/** Scope locks of whatever is made in a project. */
export function lockScopes(changes: ChangeSet, place: { tenantId: string; projectId: string }, need: 'ACTIVE' | 'EXISTING'): void {
  changes.add(SCOPES, { scopeId: place.tenantId, need }, { scopeId: place.projectId, need });
}

/**
 * A network of the project by id or by name.
 * @throws NOT_FOUND with the field
 */
export async function resolveNetwork(reader: Reader, projectId: string, reference: string, field: string): Promise<NetworkRow> {
  const found = await reader.rows(findNetworksByReference, projectId, [reference]);
  const row = found.find((network) => network.id === reference) ?? found[0];
  if (row === undefined) throw notFound('network', reference, field);
  return row;
}
