import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput, toMuonError } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { refuseUsedSubnet } from '../address/users.js';
import { lockScopes } from '../network/network-plan.js';
import { NetworkService } from '../network/network.service.js';
import { findNetworkBackends, findNetworks } from '../network/network.sql.js';
import { findRoutersOfNetworks } from '../router/router.sql.js';
import { blocksOutside } from '../router/uplink.js';
import { subnetId, type SubnetRow } from './subnet.js';
import { MAX_SUBNETS_PER_NETWORK, planSubnet, subnetSchema, type TakenBlock } from './subnet-plan.js';
import { SUBNET_CREATE, SUBNET_DELETE } from './subnet.operations.js';
import { findSubnetsOfNetworks, findVisibleSubnets } from './subnet.sql.js';

export const createSubnetInput = subnetSchema.extend({ networkId: z.string().max(100) });
export type CreateSubnetInput = z.input<typeof createSubnetInput>;

@Injectable()
export class SubnetService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly networks: NetworkService,
  ) {}

  /**
   * Adds a block of addresses to a network. `operationId` is null when no backend has the network yet: then the subnet
   * can be used at once.
   * @throws ALREADY_EXISTS; INVALID_INPUT of block, gateway and pools, also where the network's router leads to; INVALID_STATE when the network is not ACTIVE
   */
  async create(access: Access, raw: CreateSubnetInput, options: CommandOptions = {}): Promise<CommandResult> {
    const { networkId, ...input } = parseInput(createSubnetInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const command = { access, name: 'createSubnet', input: { networkId, ...input }, place, ...options };
    return this.commands.run(command, async (reader) => {
      const network = await this.networks.findParent(reader, access, 'subnet', networkId, 'input.networkId');
      const { tenant_id: tenantId, project_id: projectId } = network;
      Object.assign(place, { tenantId, projectId });
      if (network.lifecycle !== 'PRESENT') {
        throw new MuonError('INVALID_STATE', `The network "${network.name}" is ${network.lifecycle} and takes no subnets.`, {
          field: 'input.networkId',
          data: { state: network.lifecycle },
        });
      }
      const changes = new ChangeSet();
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      await this.requireRoom(reader, changes, networkId, input.name);
      const isRealised = (await reader.rows(findNetworkBackends, [networkId])).length > 0;
      const lifecycle = isRealised ? 'CREATING' : 'PRESENT';
      const outside = await outsideOf(reader, networkId);
      const subnet = await planSubnet(reader, changes, { networkId, tenantId, projectId, lifecycle }, input, 'input', outside);
      changes.add(ADDRESS_CLAIMS, { action: 'EXTEND_NETWORK', networkId });
      const operation = isRealised ? operationId.create() : null;
      if (operation !== null) {
        lockResources(changes, operation, [networkId, subnet.id]);
        changes.add(OPERATIONS, newOperation(operation, SUBNET_CREATE, { id: subnet.id, network_id: networkId, tenant_id: tenantId, project_id: projectId }));
      }
      changes.result = { id: subnet.id, operationId: operation };
      return changes;
    });
  }

  /** @throws INVALID_STATE listing who has addresses of it */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteSubnet', input: { id }, place, ...options }, async (reader) => {
      const subnet = await this.find(reader, access, Action.DELETE, id);
      Object.assign(place, { tenantId: subnet.tenant_id, projectId: subnet.project_id });
      await this.requireDeletable(reader, subnet);
      const changes = new ChangeSet();
      const closed = { networkId: subnet.network_id, subnetId: subnet.id };
      await refuseUsedSubnet(reader, closed).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_SUBNET', ...closed }, { action: 'CHANGE_NETWORK', networkId: subnet.network_id });
      changes.add(ROWS, { table: 'subnet', update: { lifecycle: 'DELETING' }, id, version: subnet.version });
      const operation = operationId.create();
      lockResources(changes, operation, [subnet.network_id]);
      succeedResources(changes, operation, [subnet.id]);
      changes.add(OPERATIONS, newOperation(operation, SUBNET_DELETE, subnet));
      changes.resources.push({ action: 'DELETE', kind: 'subnet', id, name: subnet.name });
      changes.result = { id, operationId: operation };
      return changes;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<SubnetRow> {
    const [row] = await reader.rows(findVisibleSubnets, ...access.filter('subnet'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'subnet', known, id, field);
  }

  private async requireDeletable(reader: Reader, subnet: SubnetRow): Promise<void> {
    if (subnet.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The subnet "${subnet.name}" is being deleted already.`);
    const [network] = await reader.rows(findNetworks, [subnet.network_id]);
    // On a network that was not made, telling the backends would make it after all.
    if (network?.lifecycle !== 'FAILED') return;
    throw new MuonError('INVALID_STATE', `The network "${network.name}" has failed; delete it with its subnets, or make it again.`);
  }

  private async requireRoom(reader: Reader, changes: ChangeSet, networkId: string, name: string): Promise<void> {
    const others = await reader.rows(findSubnetsOfNetworks, [networkId]);
    if (others.length >= MAX_SUBNETS_PER_NETWORK) {
      throw new MuonError('LIMIT_EXCEEDED', `A network has at most ${MAX_SUBNETS_PER_NETWORK} subnets.`, {
        data: { maximum: MAX_SUBNETS_PER_NETWORK },
      });
    }
    if (!others.some((other) => other.name === name)) return;
    const taken = new MuonError('ALREADY_EXISTS', 'A subnet of this name exists already in the network.', { field: 'input.name' });
    changes.problems.push(taken.toRecord());
  }
}

/** What the network's router leads to, or may go back to. */
async function outsideOf(reader: Reader, networkId: string): Promise<TakenBlock[]> {
  const [link] = await reader.rows(findRoutersOfNetworks, [networkId]);
  return link === undefined ? [] : blocksOutside(reader, link.router_id);
}

function newOperation(
  id: string,
  kind: string,
  subnet: Pick<SubnetRow, 'id' | 'network_id' | 'tenant_id' | 'project_id'>,
): NewOperation {
  return {
    id,
    kind,
    resourceKind: subnetId.prefix,
    resourceId: subnet.id,
    tenantId: subnet.tenant_id,
    projectId: subnet.project_id,
    input: { subnetId: subnet.id, networkId: subnet.network_id },
  };
}
