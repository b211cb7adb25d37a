import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput, toMuonError } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place, type ResourceKind } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { QuotaLedger } from '#quota';
import { chooseZones } from '#tenancy';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { refuseUsedNetwork } from '../address/users.js';
import { networkId, type NetworkRow } from './network.js';
import { createNetworkInput, lockScopes, planNetwork, requireProject } from './network-plan.js';
import { NETWORK_CREATE, NETWORK_DELETE } from './network.operations.js';
import { findNetworkBackendsOfZones, findVisibleNetworks } from './network.sql.js';

const newNetworkInput = createNetworkInput.extend({
  /** Ids or names of zones on whose backends the network is made at once. */
  zones: z.array(z.string().min(1).max(100)).max(50).default([]),
});
export type NewNetworkInput = z.input<typeof newNetworkInput>;

const deleteNetworkInput = z.strictObject({
  id: z.string().max(100),
  /** What happens while ports or load balancers use it. */
  whenInUse: z.enum(['REFUSE', 'WAIT']).default('REFUSE'),
});
export type DeleteNetworkInput = z.input<typeof deleteNetworkInput>;

@Injectable()
export class NetworkService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
  ) {}

  /**
   * Makes a network, and with it its first subnet. Without `zones` it is there at once and realised where its first port
   * lands; `operationId` is then null. With them it is made on the backends of these zones first.
   * @throws NOT_FOUND, FORBIDDEN, INVALID_STATE of the project; NOT_FOUND, UNSUPPORTED of zones; ALREADY_EXISTS;
   * INVALID_INPUT of the subnet; QUOTA_EXCEEDED
   */
  async create(access: Access, raw: NewNetworkInput, options: CommandOptions = {}): Promise<CommandResult> {
    const { zones, ...input } = parseInput(newNetworkInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    const command = { access, name: 'createNetwork', input: { ...input, zones }, place, ...options };
    return this.commands.run(command, async (reader) => {
      const { tenant_id: tenantId } = await requireProject(reader, access, input.projectId, 'input.projectId');
      place.tenantId = tenantId;
      const backendIds = await this.chooseBackends(reader, tenantId, zones);
      const { changes, networkId: id, subnet, projectId } = await planNetwork(reader, access, input, { backendIds });
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      const operation = backendIds.length === 0 ? null : operationId.create();
      if (operation !== null) {
        lockResources(changes, operation, [id]);
        const row = { id, tenant_id: tenantId, project_id: projectId };
        changes.add(OPERATIONS, { ...newOperation(operation, NETWORK_CREATE, row), backendId: backendIds[0] ?? null });
      }
      await this.ledger.previewPlan(reader, changes);
      changes.result = { id, subnetId: subnet?.id ?? null, operationId: operation };
      return changes;
    });
  }

  /**
   * Deletes a network that nothing uses, with its subnets. In use it is refused with the list of users, or with
   * `whenInUse: WAIT` becomes PENDING_DELETE: it takes no new users and goes with its last one; until then the operation
   * can be cancelled.
   */
  async delete(access: Access, raw: DeleteNetworkInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(deleteNetworkInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteNetwork', input, place, ...options }, async (reader) => {
      const network = await this.find(reader, access, Action.DELETE, input.id);
      Object.assign(place, { tenantId: network.tenant_id, projectId: network.project_id });
      const changes = new ChangeSet();
      await this.close(reader, changes, network, input.whenInUse);
      const deletion = planNetworkDeletion(network);
      changes.include(deletion);
      changes.result = deletion.result;
      return changes;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<NetworkRow> {
    return access.require(action, 'network', await this.lookUp(reader, access, id), id, field);
  }

  /** The network that something is to be made in. @throws NOT_FOUND, FORBIDDEN */
  async findParent(reader: Reader, access: Access, child: ResourceKind, id: string, field: string): Promise<NetworkRow> {
    return access.requireChild(child, 'network', await this.lookUp(reader, access, id), id, field);
  }

  private async lookUp(reader: Reader, access: Access, id: string): Promise<(NetworkRow & Place) | undefined> {
    const [row] = await reader.rows(findVisibleNetworks, ...access.filter('network'), [id]);
    return row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
  }

  private async close(reader: Reader, changes: ChangeSet, network: NetworkRow, whenInUse: 'REFUSE' | 'WAIT'): Promise<void> {
    if (network.lifecycle === 'PENDING_DELETE' || network.lifecycle === 'DELETING') {
      throw new MuonError('INVALID_STATE', `The network "${network.name}" is being deleted already.`, { data: { state: network.lifecycle } });
    }
    if (whenInUse === 'REFUSE') {
      await refuseUsedNetwork(reader, network.id).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_NETWORK', networkId: network.id });
    }
  }

  private async chooseBackends(reader: Reader, tenantId: string, zones: readonly string[]): Promise<string[]> {
    if (zones.length === 0) return [];
    const chosen = await chooseZones(reader, tenantId, zones, 'input.zones');
    const found = await reader.rows(findNetworkBackendsOfZones, chosen.map((zone) => zone.id));
    if (found.length > 0) return found.map((row) => row.backend_id);
    throw new MuonError('UNSUPPORTED', 'None of these zones has a backend for networks.', { field: 'input.zones' });
  }
}

/** What deletes a network with its subnets: it takes no new users from now on, and goes with its last one. */
export function planNetworkDeletion(network: NetworkRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(ROWS, { table: 'network', update: { lifecycle: 'PENDING_DELETE' }, id: network.id, version: network.version });
  succeedResources(changes, operation, [network.id]);
  changes.add(OPERATIONS, newOperation(operation, NETWORK_DELETE, network));
  changes.resources.push({ action: 'DELETE', kind: 'network', id: network.id, name: network.name });
  changes.result = { id: network.id, operationId: operation };
  return changes;
}

function newOperation(id: string, kind: string, network: Pick<NetworkRow, 'id' | 'tenant_id' | 'project_id'>): NewOperation {
  return {
    id,
    kind,
    resourceKind: networkId.prefix,
    resourceId: network.id,
    tenantId: network.tenant_id,
    projectId: network.project_id,
    input: { networkId: network.id },
  };
}
