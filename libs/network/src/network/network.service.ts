import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput, toMuonError } from '#core';
import { ChangeSet, ROWS, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources } from '#operations';
import { CHARGES, QuotaLedger } from '#quota';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { refuseUsedNetwork } from '../address/users.js';
import { networkId, type NetworkRow } from './network.js';
import { lockScopes, planNetwork, type CreateNetworkInput } from './network-plan.js';
import { NETWORK_CREATE, NETWORK_DELETE } from './network.operations.js';
import { findVisibleNetworks } from './network.sql.js';

const deleteNetworkInput = z.strictObject({
  id: z.string().max(100),
  /** What happens while ports or load balancers use it. */
  whenInUse: z.enum(['REFUSE', 'WAIT']).default('REFUSE'),
});
export type DeleteNetworkInput = z.input<typeof deleteNetworkInput>;

/** Adds to a plan what it would do to the quota: a refusal is shown with everything else that stands in the way. */
export async function previewQuota(reader: Reader, ledger: QuotaLedger, changes: ChangeSet): Promise<void> {
  const { problems, lines } = await ledger.preview(reader, changes.items(CHARGES));
  changes.problems.push(...problems);
  for (const line of lines) {
    const of = line.limit === null ? '' : ` of ${line.limit}`;
    changes.reasons.push({
      subject: 'quota',
      message: `${line.resourceKey} of ${line.scopeKind.toLowerCase()} "${line.scopeName}": ${line.used}${of} used, ${line.requested} requested.`,
      data: { ...line },
    });
  }
}

@Injectable()
export class NetworkService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
  ) {}

  /**
   * Makes a network, and with it its first subnet. Without backends to make it on it is there at once and realised where
   * its first port lands; `operationId` is then null.
   * @throws NOT_FOUND, FORBIDDEN, INVALID_STATE of the project; ALREADY_EXISTS; INVALID_INPUT of the subnet; QUOTA_EXCEEDED
   */
  async create(
    access: Access,
    input: CreateNetworkInput,
    options: CommandOptions & { backendIds?: readonly string[] } = {},
  ): Promise<CommandResult> {
    const { backendIds = [], ...running } = options;
    const place: Place = { tenantId: null, projectId: input.projectId };
    return this.commands.run({ access, name: 'createNetwork', input: { ...input }, place, ...running }, async (reader) => {
      const { changes, networkId: id, subnet, tenantId, projectId } = await planNetwork(reader, access, input, { backendIds });
      place.tenantId = tenantId;
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      const operation = backendIds.length === 0 ? null : operationId.create();
      if (operation !== null) {
        lockResources(changes, operation, [id]);
        changes.add(OPERATIONS, {
          id: operation,
          kind: NETWORK_CREATE,
          resourceKind: networkId.prefix,
          resourceId: id,
          tenantId,
          projectId,
          input: { networkId: id },
          backendId: backendIds[0] ?? null,
        });
      }
      await previewQuota(reader, this.ledger, changes);
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
      const operation = operationId.create();
      succeedResources(changes, operation, [network.id]);
      changes.add(OPERATIONS, {
        id: operation,
        kind: NETWORK_DELETE,
        resourceKind: networkId.prefix,
        resourceId: network.id,
        tenantId: network.tenant_id,
        projectId: network.project_id,
        input: { networkId: network.id },
      });
      changes.resources.push({ action: 'DELETE', kind: 'network', id: network.id, name: network.name });
      changes.result = { id: network.id, operationId: operation };
      return changes;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<NetworkRow> {
    const [row] = await reader.rows(findVisibleNetworks, ...access.filter, [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'network', known, id, field);
  }

  private async close(reader: Reader, changes: ChangeSet, network: NetworkRow, whenInUse: 'REFUSE' | 'WAIT'): Promise<void> {
    if (network.lifecycle === 'PENDING_DELETE' || network.lifecycle === 'DELETING') {
      throw new MuonError('INVALID_STATE', `The network "${network.name}" is being deleted already.`, { data: { state: network.lifecycle } });
    }
    if (whenInUse === 'REFUSE') {
      await refuseUsedNetwork(reader, network.id).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_NETWORK', networkId: network.id });
    }
    changes.add(ROWS, { table: 'network', update: { lifecycle: 'PENDING_DELETE' }, id: network.id, version: network.version });
  }
}
