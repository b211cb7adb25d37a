import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { QuotaLedger } from '#quota';
import { findVisibleLoadBalancers } from '../load-balancer/load-balancer.sql.js';
import { lockScopes } from '../network/network-plan.js';
import { findVisiblePorts } from '../port/port.sql.js';
import { requireProject } from '../router/router.service.js';
import { floatingIpId, floatingTarget, type FloatingIpRow, type FloatingTarget } from './floating-ip.js';
import { planFloatingIp, planPointing, reachableTarget, requireSameNetwork, type FloatingTargetRequest } from './floating-ip-plan.js';
import { FLOATING_IP_ASSOCIATE, FLOATING_IP_DELETE, FLOATING_IP_DISSOCIATE } from './floating-ip.operations.js';
import { findFloatingIpRouters, findVisibleFloatingIps } from './floating-ip.sql.js';

const reference = z.string().min(1).max(100);

export const createFloatingIpInput = z.strictObject({
  projectId: z.string().max(100),
  name: nameSchema,
  /** Where the address is from, by id or name. */
  externalNetwork: reference,
});
export type CreateFloatingIpInput = z.input<typeof createFloatingIpInput>;

const target = { portId: z.string().max(100).optional(), loadBalancerId: z.string().max(100).optional() };
const expectedVersion = z.int().min(0).optional();
export const associateFloatingIpInput = z.strictObject({ id: z.string().max(100), expectedVersion, ...target });
export type AssociateFloatingIpInput = z.input<typeof associateFloatingIpInput>;

export const floatingIpInput = z.strictObject({ id: z.string().max(100), expectedVersion });
export type FloatingIpInput = z.input<typeof floatingIpInput>;

@Injectable()
export class FloatingIpService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
  ) {}

  /**
   * Takes an address, which is the project's from now on and leads nowhere yet.
   * @throws as `planFloatingIp` does; NOT_FOUND, FORBIDDEN of the project; QUOTA_EXCEEDED
   */
  async create(access: Access, raw: CreateFloatingIpInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createFloatingIpInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    return this.commands.run({ access, name: 'createFloatingIp', input, place, ...options }, async (reader) => {
      const { tenant_id: tenantId, id: projectId } = await requireProject(reader, access, input.projectId, 'floating ip');
      place.tenantId = tenantId;
      const { name, externalNetwork } = input;
      const { changes, floatingIpId: id, address } = await planFloatingIp(reader, { name, tenantId, projectId, externalNetwork, ownerId: null });
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      await this.ledger.previewPlan(reader, changes);
      changes.result = { id, address, operationId: null };
      return changes;
    });
  }

  /**
   * Leads it to a port or a load balancer, away from what it leads to now. `operationId` is null when it leads there already.
   * @throws as `reachableTarget` does; CONFLICT when it has another version
   */
  async associate(access: Access, raw: AssociateFloatingIpInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(associateFloatingIpInput, raw);
    const request = requestOf(input);
    return this.#change(access, 'associateFloatingIp', input, options, async (reader, row) => {
      await requireVisible(reader, access, request);
      const found = await reachableTarget(reader, row.project_id, request, { field: 'input', floatingIpId: row.id });
      await requireSameNetwork(reader, found, row, 'input');
      const { networkId, portId, loadBalancerId } = found;
      return { networkId, portId, loadBalancerId };
    });
  }

  /** It stays the project's. `operationId` is null when it leads nowhere. @throws CONFLICT when it has another version */
  async dissociate(access: Access, raw: FloatingIpInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(floatingIpInput, raw);
    return this.#change(access, 'dissociateFloatingIp', input, options, async () => null);
  }

  async #change(
    access: Access,
    name: 'associateFloatingIp' | 'dissociateFloatingIp',
    input: z.output<typeof associateFloatingIpInput>,
    options: CommandOptions,
    choose: (reader: Reader, row: FloatingIpRow) => Promise<FloatingTarget | null>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name, input, place, ...options }, async (reader) => {
      const row = await this.#findOwn(reader, access, Action.MODIFY, input);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      if (row.lifecycle !== 'PRESENT') throw new MuonError('INVALID_STATE', `The floating IP "${row.name}" is ${row.lifecycle}.`);
      const wanted = await choose(reader, row);
      const before = floatingTarget(row);
      const changes = new ChangeSet();
      changes.result = { id: row.id, operationId: null };
      if (JSON.stringify(before) === JSON.stringify(wanted)) return changes;
      const operation = operationId.create();
      changes.include(await planPointing(reader, row, wanted, row.version));
      lockScopes(changes, { tenantId: row.tenant_id, projectId: row.project_id }, wanted === null ? 'EXISTING' : 'ACTIVE');
      lockResources(changes, operation, [row.id]);
      const kind = wanted === null ? FLOATING_IP_DISSOCIATE : FLOATING_IP_ASSOCIATE;
      const [routed] = await reader.rows(findFloatingIpRouters, [row.id]);
      changes.add(OPERATIONS, { ...newOperation(operation, kind, row, { floatingIpId: row.id, before: before === null ? null : { ...before } }), backendId: routed?.backend_id ?? null });
      const data = { address: row.address, portId: wanted?.portId ?? null, loadBalancerId: wanted?.loadBalancerId ?? null };
      changes.resources.push({ action: 'UPDATE', kind: 'floating ip', id: row.id, name: row.name, data });
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }

  /** Gives the address back, also while it leads somewhere. @throws CONFLICT when it has another version */
  async delete(access: Access, raw: FloatingIpInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(floatingIpInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteFloatingIp', input, place, ...options }, async (reader) => {
      const row = await this.#findOwn(reader, access, Action.DELETE, input);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The floating IP "${row.name}" is being deleted already.`);
      return planFloatingIpDeletion(row);
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<FloatingIpRow> {
    const [row] = await reader.rows(findVisibleFloatingIps, ...access.filter('floating ip'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'floating ip', known, id, field);
  }

  async #findOwn(reader: Reader, access: Access, action: Action, input: z.output<typeof floatingIpInput>): Promise<FloatingIpRow> {
    const row = await this.find(reader, access, action, input.id);
    const { expectedVersion: version } = input;
    if (version !== undefined && version !== row.version) throw versionConflict('floating ip', { id: row.id, version });
    if (row.owner_id === null) return row;
    throw new MuonError('INVALID_STATE', `The floating IP "${row.name}" belongs to a cluster, which alone changes it.`, { data: { ownerId: row.owner_id } });
  }
}

/** @throws INVALID_INPUT unless it is one of both */
function requestOf(input: z.output<typeof associateFloatingIpInput>): FloatingTargetRequest {
  const { portId, loadBalancerId } = input;
  if (portId !== undefined && loadBalancerId === undefined) return { portId };
  if (loadBalancerId !== undefined && portId === undefined) return { loadBalancerId };
  throw invalidInput('input.portId', 'Give either the port or the load balancer that the floating IP shall lead to.');
}

/** What the caller may not see is NOT_FOUND. */
async function requireVisible(reader: Reader, access: Access, request: FloatingTargetRequest): Promise<void> {
  if ('portId' in request) {
    const [row] = await reader.rows(findVisiblePorts, ...access.filter('port'), [request.portId]);
    access.require(Action.READ, 'port', row && { ...row, tenantId: row.tenant_id, projectId: row.project_id }, request.portId, 'input.portId');
    return;
  }
  const { loadBalancerId: id } = request;
  const [row] = await reader.rows(findVisibleLoadBalancers, ...access.filter('load balancer'), [id]);
  access.require(Action.READ, 'load balancer', row && { ...row, tenantId: row.tenant_id, projectId: row.project_id }, id, 'input.loadBalancerId');
}

export function planFloatingIpDeletion(row: FloatingIpRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(ROWS, { table: 'floating_ip', update: { lifecycle: 'DELETING' }, id: row.id, version: row.version });
  succeedResources(changes, operation, [row.id]);
  changes.add(OPERATIONS, newOperation(operation, FLOATING_IP_DELETE, row, { floatingIpId: row.id }));
  changes.resources.push({ action: 'DELETE', kind: 'floating ip', id: row.id, name: row.name });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

function newOperation(
  id: string,
  kind: string,
  row: Pick<FloatingIpRow, 'id' | 'tenant_id' | 'project_id'>,
  input: NewOperation['input'],
): NewOperation {
  return { id, kind, resourceKind: floatingIpId.prefix, resourceId: row.id, tenantId: row.tenant_id, projectId: row.project_id, input };
}
