import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, invalidInput, MuonError, nameSchema, parseInput, toMuonError } from '#core';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { busyOr, lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { QuotaLedger } from '#quota';
import { findScopes, requireActive, type ScopeRow } from '#scopes';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { claimFreeAddress } from '../external-network/external-address.js';
import { lockScopes } from '../network/network-plan.js';
import { claimFreeTransitAddress } from '../provider-router/transit-address.js';
import { findSubnetsOfNetworks } from '../subnet/subnet.sql.js';
import { refuseNeededRouter } from './edge-claims.js';
import { MAX_ROUTER_NETWORKS, routerId, type RouterRow } from './router.js';
import { planRouterChange, wantedOf } from './router-change.js';
import { attachable, freeLinks, planRouter, requireInside, routerNetworksSchema } from './router-plan.js';
import { ROUTER_CREATE, ROUTER_DELETE, ROUTER_UPDATE } from './router.operations.js';
import { findNetworksOfRouters, findVisibleRouters } from './router.sql.js';
import { blocksOf, uplinkOf, usableUplink, type OutsideBlock } from './uplink.js';

const reference = z.string().min(1).max(100);

export const createRouterInput = z.strictObject({
  projectId: z.string().max(100),
  name: nameSchema,
  description: descriptionSchema.default(''),
  /** Networks of the project. */
  networkIds: routerNetworksSchema.default([]),
  /** By id or name; no uplink when left out. */
  externalNetwork: reference.optional(),
  /** Instead of an external network, by id or name. */
  providerRouter: reference.optional(),
  /** Whether machines without a floating IP reach the outside; true when left out. */
  sourceNat: z.boolean().optional(),
});
export type CreateRouterInput = z.input<typeof createRouterInput>;

export const updateRouterInput = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  description: descriptionSchema.optional(),
  attach: routerNetworksSchema.default([]),
  detach: routerNetworksSchema.default([]),
  /** By id or name; null takes the uplink away. */
  externalNetwork: reference.nullable().optional(),
  /** Instead of an external network. */
  providerRouter: reference.nullable().optional(),
  sourceNat: z.boolean().optional(),
});
export type UpdateRouterInput = z.input<typeof updateRouterInput>;

const deleteRouterInput = z.strictObject({ id: z.string().max(100), expectedVersion: z.int().min(0).optional() });
export type DeleteRouterInput = z.input<typeof deleteRouterInput>;

@Injectable()
export class RouterService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
  ) {}

  /** @throws as `planRouter` does; NOT_FOUND, FORBIDDEN of the project; QUOTA_EXCEEDED */
  async create(access: Access, raw: CreateRouterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createRouterInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    return this.commands.run({ access, name: 'createRouter', input, place, ...options }, async (reader) => {
      const project = await requireProject(reader, access, input.projectId);
      const { tenant_id: tenantId, id: projectId } = project;
      place.tenantId = tenantId;
      const planned = await planRouter(reader, access, {
        name: input.name,
        description: input.description,
        tenantId,
        projectId,
        networkIds: input.networkIds,
        externalNetwork: input.externalNetwork ?? null,
        providerRouter: input.providerRouter ?? null,
        ...(input.sourceNat === undefined ? {} : { sourceNat: input.sourceNat }),
        ownerId: null,
      });
      const { changes, routerId: id, backendId } = planned;
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      const operation = operationId.create();
      lockResources(changes, operation, [id]);
      const row = { id, tenant_id: tenantId, project_id: projectId, backend_id: backendId };
      changes.add(OPERATIONS, newOperation(operation, ROUTER_CREATE, row, { routerId: id }));
      await this.ledger.previewPlan(reader, changes);
      changes.result = { id, operationId: operation };
      return changes;
    });
  }

  /**
   * Attaches and detaches networks, and changes the uplink; what is not named stays. `operationId` is null when nothing
   * would change.
   * @throws as `planRouter` does; INVALID_STATE when floating IPs need what goes; CONFLICT when it has another version
   */
  async update(access: Access, raw: UpdateRouterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateRouterInput, raw);
    const both = input.attach.find((id) => input.detach.includes(id));
    if (both !== undefined) throw invalidInput('input.detach', `"${both}" cannot be attached and detached at once.`);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'updateRouter', input, place, ...options }, async (reader) => {
      const row = await this.#findOwn(reader, access, Action.MODIFY, input.id);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      requireVersion(row, input.expectedVersion);
      if (row.lifecycle !== 'PRESENT') {
        const message = `The router "${row.name}" is ${row.lifecycle}.`;
        throw await busyOr(reader, row.id, new MuonError('INVALID_STATE', message, { data: { state: row.lifecycle } }));
      }
      return this.#planUpdate(reader, access, row, input);
    });
  }

  async #planUpdate(reader: Reader, access: Access, row: RouterRow, input: z.output<typeof updateRouterInput>): Promise<ChangeSet> {
    const { id, tenant_id: tenantId, project_id: projectId } = row;
    const current = await reader.rows(findNetworksOfRouters, [id]);
    const known = new Map(current.map((each) => [each.network_id, each.link]));
    const coming = [...new Set(input.attach)].filter((networkId) => !known.has(networkId));
    const detached = current.filter((each) => input.detach.includes(each.network_id)).map((each) => ({ networkId: each.network_id, link: each.link }));
    if (current.length + coming.length - detached.length > MAX_ROUTER_NETWORKS) {
      throw invalidInput('input.attach', `A router has at most ${MAX_ROUTER_NETWORKS} networks.`, { maximum: MAX_ROUTER_NETWORKS });
    }
    const claims = new ChangeSet();
    const { outside, wanted } = await wantedUplink(reader, claims, row, input);
    await attachable(reader, access, { tenantId, projectId, networkIds: coming, outside, routerId: id, field: 'input.attach' });
    const staying = [...known.keys()].filter((networkId) => !input.detach.includes(networkId));
    requireInside(await reader.rows(findSubnetsOfNetworks, staying), outside, input.providerRouter == null ? 'input.externalNetwork' : 'input.providerRouter');
    const links = freeLinks([...known.values()], coming.length);
    const attached = coming.map((networkId, index) => ({ networkId, link: links[index] ?? 0 }));
    const before = wantedOf(row);
    const isSame = attached.length + detached.length === 0 && JSON.stringify(before) === JSON.stringify(wanted);
    const changes = new ChangeSet();
    changes.result = { id, operationId: null };
    if (isSame) return changes;
    const isThere = wanted.externalNetworkId === row.external_network_id && wanted.providerRouterId === row.provider_router_id;
    const left = isThere ? detached.map(({ networkId }) => networkId) : [...known.keys()];
    await refuseNeededRouter(reader, left).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
    changes.include(planRouterChange(row, { attach: attached, detach: detached, wanted }));
    const operation = operationId.create();
    const leadsOn = wanted.externalNetworkId !== null || wanted.providerRouterId !== null;
    const grows = attached.length > 0 || (leadsOn && !isThere);
    lockScopes(changes, { tenantId, projectId }, grows ? 'ACTIVE' : 'EXISTING');
    lockResources(changes, operation, [id]);
    changes.add(OPERATIONS, newOperation(operation, ROUTER_UPDATE, row, { routerId: id, attached, detached, before }));
    const data = { attached: coming, detached: detached.map(({ networkId }) => networkId), externalAddress: wanted.externalAddress };
    changes.resources.push({ action: 'UPDATE', kind: 'router', id, name: row.name, data });
    changes.result = { id, operationId: operation };
    return changes;
  }

  /** @throws INVALID_STATE while floating IPs lead through it; CONFLICT when it has another version */
  async delete(access: Access, raw: DeleteRouterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(deleteRouterInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteRouter', input, place, ...options }, async (reader) => {
      const row = await this.#findOwn(reader, access, Action.DELETE, input.id);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      requireVersion(row, input.expectedVersion);
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The router "${row.name}" is being deleted already.`);
      const changes = new ChangeSet();
      const networks = (await reader.rows(findNetworksOfRouters, [row.id])).map((each) => each.network_id);
      await refuseNeededRouter(reader, networks).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      const deletion = planRouterDeletion(row);
      changes.include(deletion);
      changes.result = deletion.result;
      return changes;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<RouterRow> {
    const [row] = await reader.rows(findVisibleRouters, ...access.filter('router'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'router', known, id, field);
  }

  async #findOwn(reader: Reader, access: Access, action: Action, id: string): Promise<RouterRow> {
    const row = await this.find(reader, access, action, id);
    if (row.owner_id === null) return row;
    throw new MuonError('INVALID_STATE', `The router "${row.name}" belongs to a cluster, which alone changes it.`, { data: { ownerId: row.owner_id } });
  }
}

/** An active project that the caller may make things of this kind in. @throws NOT_FOUND, FORBIDDEN, INVALID_STATE */
export async function requireProject(
  reader: Reader,
  access: Access,
  id: string,
  child: 'router' | 'floating ip' = 'router',
): Promise<ScopeRow & { tenant_id: string }> {
  const [scope] = await reader.rows(findScopes, [id]);
  const row = scope?.kind === 'PROJECT' ? { ...scope, tenantId: scope.tenant_id, projectId: scope.id } : undefined;
  const project = access.requireChild(child, 'project', row, id, 'input.projectId');
  requireActive(project);
  return project as ScopeRow & { tenant_id: string };
}

export function requireVersion(row: { id: string; version: number }, expected: number | undefined): void {
  if (expected !== undefined && expected !== row.version) throw versionConflict('router', { id: row.id, version: expected });
}

interface WantedUplink {
  outside: OutsideBlock[];
  wanted: ReturnType<typeof wantedOf>;
}

const NOWHERE = { externalNetworkId: null, externalAddress: null, providerRouterId: null, transitAddress: null };

async function wantedUplink(reader: Reader, claims: ChangeSet, row: RouterRow, input: z.output<typeof updateRouterInput>): Promise<WantedUplink> {
  const before = wantedOf(row);
  const wanted = { ...before, description: input.description ?? before.description, sourceNat: input.sourceNat ?? before.sourceNat };
  if (input.externalNetwork === undefined && input.providerRouter === undefined) {
    const current = await uplinkOf(reader, row);
    if (current === null && input.sourceNat === true) throw invalidInput('input.sourceNat', 'A router without an uplink reaches no outside; give it one.');
    return { outside: blocksOf(current), wanted };
  }
  const uplink = await usableUplink(reader, row.tenant_id, input, 'input');
  if (uplink === null) return { outside: [], wanted: { ...wanted, ...NOWHERE, sourceNat: false } };
  const { outside, providerRouter } = uplink;
  if (outside.backend_id !== row.backend_id) {
    const [called, field] = providerRouter === null ? [`external network "${outside.name}"`, 'externalNetwork'] : [`provider router "${providerRouter.name}"`, 'providerRouter'];
    throw new MuonError('UNSUPPORTED', `The ${called} is not where the router is; make another router.`, { field: `input.${field}` });
  }
  const isThere = providerRouter === null ? outside.id === row.external_network_id : providerRouter.id === row.provider_router_id;
  if (isThere) return { outside: blocksOf(uplink), wanted };
  const wish = { ownerId: row.id, tenantId: row.tenant_id, projectId: row.project_id };
  const there =
    providerRouter === null
      ? { ...NOWHERE, externalNetworkId: outside.id, externalAddress: await claimFreeAddress(reader, claims, outside, wish) }
      : { ...NOWHERE, providerRouterId: providerRouter.id, transitAddress: await claimFreeTransitAddress(reader, claims, providerRouter.id, wish) };
  return { outside: blocksOf(uplink), wanted: { ...wanted, ...there, sourceNat: input.sourceNat ?? true } };
}

export function planRouterDeletion(row: RouterRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_ROUTER', routerId: row.id });
  changes.add(ROWS, { table: 'router', update: { lifecycle: 'DELETING' }, id: row.id, version: row.version });
  succeedResources(changes, operation, [row.id]);
  changes.add(OPERATIONS, newOperation(operation, ROUTER_DELETE, row, { routerId: row.id }));
  changes.resources.push({ action: 'DELETE', kind: 'router', id: row.id, name: row.name });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

function newOperation(
  id: string,
  kind: string,
  row: Pick<RouterRow, 'id' | 'tenant_id' | 'project_id' | 'backend_id'>,
  input: NewOperation['input'],
): NewOperation {
  return {
    id,
    kind,
    resourceKind: routerId.prefix,
    resourceId: row.id,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    backendId: row.backend_id,
    input,
  };
}
