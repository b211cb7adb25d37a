import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { busyOr, lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { QuotaLedger } from '#quota';
import { lockScopes } from '../network/network-plan.js';
import { NetworkService } from '../network/network.service.js';
import { findNetworkBackends } from '../network/network.sql.js';
import type { PortRow } from '../port/port.js';
import { findVisiblePorts } from '../port/port.sql.js';
import { loadBalancerId, MAX_MEMBERS, type LoadBalancerRow } from './load-balancer.js';
import { listenersSchema, membersSchema, planLoadBalancer, planMemberChange } from './load-balancer-plan.js';
import { LOAD_BALANCER_CREATE, LOAD_BALANCER_DELETE, LOAD_BALANCER_UPDATE } from './load-balancer.operations.js';
import { findMembers, findVisibleLoadBalancers } from './load-balancer.sql.js';

export const createLoadBalancerInput = z.strictObject({
  networkId: z.string().max(100),
  subnetId: z.string().max(100).optional(),
  name: nameSchema,
  listeners: listenersSchema,
  /** Ids of ports of the same network. */
  members: membersSchema.default([]),
});
export type CreateLoadBalancerInput = z.input<typeof createLoadBalancerInput>;

export const updateLoadBalancerMembersInput = z.strictObject({
  id: z.string().max(100),
  add: membersSchema.default([]),
  remove: membersSchema.default([]),
});
export type UpdateLoadBalancerMembersInput = z.input<typeof updateLoadBalancerMembersInput>;

@Injectable()
export class LoadBalancerService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly networks: NetworkService,
  ) {}

  /** @throws as `planLoadBalancer` does; NOT_FOUND of members; QUOTA_EXCEEDED */
  async create(access: Access, raw: CreateLoadBalancerInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createLoadBalancerInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'createLoadBalancer', input, place, ...options }, async (reader) => {
      const network = await this.networks.findParent(reader, access, 'load balancer', input.networkId, 'input.networkId');
      const { tenant_id: tenantId, project_id: projectId } = network;
      Object.assign(place, { tenantId, projectId });
      const members = await this.findMemberPorts(reader, access, network.id, input.members, 'input.members');
      const planned = await planLoadBalancer(reader, access, {
        name: input.name,
        networkId: network.id,
        ...(input.subnetId === undefined ? {} : { subnetId: input.subnetId }),
        tenantId,
        projectId,
        backendId: await this.chooseBackend(reader, network.id, members),
        ownerId: null,
        listeners: input.listeners,
        memberPortIds: members.map((port) => port.id),
      });
      const { changes, loadBalancerId: id, address } = planned;
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      const operation = operationId.create();
      lockResources(changes, operation, [id]);
      const row = { id, tenant_id: tenantId, project_id: projectId };
      changes.add(OPERATIONS, newOperation(operation, LOAD_BALANCER_CREATE, row, { loadBalancerId: id }));
      await this.ledger.previewPlan(reader, changes);
      changes.result = { id, address, operationId: operation };
      return changes;
    });
  }

  /** Adds and removes members; the others are left as they are. `operationId` is null when nothing would change. */
  async updateMembers(access: Access, raw: UpdateLoadBalancerMembersInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateLoadBalancerMembersInput, raw);
    const both = input.add.find((id) => input.remove.includes(id));
    if (both !== undefined) throw invalidInput('input.remove', `"${both}" cannot be added and removed at once.`);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'updateLoadBalancerMembers', input, place, ...options }, async (reader) => {
      const row = await this.findOwn(reader, access, Action.MODIFY, input.id);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      if (row.lifecycle !== 'PRESENT') {
        const message = `The load balancer "${row.name}" is ${row.lifecycle}.`;
        throw await busyOr(reader, row.id, new MuonError('INVALID_STATE', message, { data: { state: row.lifecycle } }));
      }
      const current = new Set((await reader.rows(findMembers, [row.id])).map((member) => member.port_id));
      const wanted = await this.findMemberPorts(reader, access, row.network_id, input.add, 'input.add');
      const added = wanted.map((port) => port.id).filter((id) => !current.has(id));
      const removed = input.remove.filter((id) => current.has(id));
      if (current.size + added.length - removed.length > MAX_MEMBERS) {
        throw invalidInput('input.add', `A load balancer has at most ${MAX_MEMBERS} members.`, { maximum: MAX_MEMBERS });
      }
      const changes = planMemberChange(row.id, { add: added, remove: removed });
      changes.result = { id: row.id, operationId: null };
      if (added.length + removed.length === 0) return changes;
      const operation = operationId.create();
      lockScopes(changes, { tenantId: row.tenant_id, projectId: row.project_id }, 'EXISTING');
      lockResources(changes, operation, [row.id]);
      changes.add(OPERATIONS, newOperation(operation, LOAD_BALANCER_UPDATE, row, { loadBalancerId: row.id, added, removed }));
      changes.resources.push({ action: 'UPDATE', kind: 'load balancer', id: row.id, name: row.name, data: { added, removed } });
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }

  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteLoadBalancer', input: { id }, place, ...options }, async (reader) => {
      const row = await this.findOwn(reader, access, Action.DELETE, id);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The load balancer "${row.name}" is being deleted already.`);
      return planLoadBalancerDeletion(row);
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<LoadBalancerRow> {
    const [row] = await reader.rows(findVisibleLoadBalancers, ...access.filter('load balancer'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'load balancer', known, id, field);
  }

  private async findOwn(reader: Reader, access: Access, action: Action, id: string): Promise<LoadBalancerRow> {
    const row = await this.find(reader, access, action, id);
    if (row.owner_id === null) return row;
    throw new MuonError('INVALID_STATE', `The load balancer "${row.name}" belongs to a cluster, which alone changes it.`, {
      data: { ownerId: row.owner_id },
    });
  }

  private async findMemberPorts(
    reader: Reader,
    access: Access,
    networkId: string,
    ids: readonly string[],
    field: string,
  ): Promise<PortRow[]> {
    if (ids.length === 0) return [];
    const found = new Map((await reader.rows(findVisiblePorts, ...access.filter('port'), [...ids])).map((row) => [row.id, row]));
    return [...new Set(ids)].map((id) => {
      const port = found.get(id);
      if (port === undefined || port.lifecycle !== 'PRESENT') throw notFound('port', id, field);
      if (port.network_id !== networkId) throw invalidInput(field, `The port "${id}" is not in the load balancer's network.`);
      return port;
    });
  }

  private async chooseBackend(reader: Reader, networkId: string, members: readonly PortRow[]): Promise<string> {
    const [member] = members;
    if (member !== undefined) return member.backend_id;
    const [span] = await reader.rows(findNetworkBackends, [networkId]);
    if (span !== undefined) return span.backend_id;
    throw new MuonError('INVALID_STATE', 'No machine is in this network yet, so it is nowhere that a load balancer could be; make the members first.', {
      field: 'input.networkId',
    });
  }
}

export function planLoadBalancerDeletion(row: LoadBalancerRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(ROWS, { table: 'load_balancer', update: { lifecycle: 'DELETING' }, id: row.id, version: row.version });
  succeedResources(changes, operation, [row.id]);
  changes.add(OPERATIONS, newOperation(operation, LOAD_BALANCER_DELETE, row, { loadBalancerId: row.id }));
  changes.resources.push({ action: 'DELETE', kind: 'load balancer', id: row.id, name: row.name });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

function newOperation(
  id: string,
  kind: string,
  row: Pick<LoadBalancerRow, 'id' | 'tenant_id' | 'project_id'>,
  input: NewOperation['input'],
): NewOperation {
  return {
    id,
    kind,
    resourceKind: loadBalancerId.prefix,
    resourceId: row.id,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    input,
  };
}
