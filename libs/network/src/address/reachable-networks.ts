import { MuonError, notFound } from '#core';
import { ROWS, type ChangeSet, type Reader } from '#database';
import type { Access } from '#identity';
import type { NetworkRow } from '../network/network.js';
import { findNetworks } from '../network/network.sql.js';
import type { SubnetRow } from '../subnet/subnet.js';
import { findSubnetsOfNetworks } from '../subnet/subnet.sql.js';

export interface UsableNetwork {
  network: NetworkRow;
  /** The oldest first; only those that take new addresses. */
  subnets: SubnetRow[];
  /** All of them, however they are: each keeps its block. */
  blocks: SubnetRow[];
}

interface NetworkUse {
  networkId: string;
  subnetId?: string | undefined;
  tenantId: string;
  projectId: string;
  /** Path of the input that names the network. */
  field: string;
}

/**
 * The networks that a plan wants to put something into, stored or made by the same change set.
 * @param access null for the system's own work
 * @throws NOT_FOUND when one is not there, of another project or not the caller's to use; INVALID_STATE when it is going
 */
export async function usableNetworks(
  reader: Reader,
  access: Access | null,
  uses: readonly NetworkUse[],
  alongside?: ChangeSet,
): Promise<Map<string, UsableNetwork>> {
  const ids = [...new Set(uses.map((use) => use.networkId))];
  const planned = plannedRows(alongside);
  const networks = new Map([...(await reader.rows(findNetworks, ids)), ...planned.networks].map((row) => [row.id, row]));
  const subnets = [...(await reader.rows(findSubnetsOfNetworks, ids)), ...planned.subnets];
  const usable = new Map<string, UsableNetwork>();
  for (const use of uses) {
    let found = usable.get(use.networkId);
    if (found === undefined) {
      const row = networks.get(use.networkId);
      if (row === undefined) throw notFound('network', use.networkId, use.field);
      const place = { tenantId: row.tenant_id, projectId: row.project_id };
      const network = access === null ? row : access.requireChild('port', 'network', { ...row, ...place }, row.id, use.field);
      requireTakesUsers(network, use.field);
      const blocks = subnets.filter((subnet) => subnet.network_id === network.id);
      found = { network, subnets: blocks.filter((subnet) => subnet.lifecycle === 'PRESENT'), blocks };
      usable.set(network.id, found);
    }
    if (found.network.project_id !== use.projectId) throw notFound('network', use.networkId, use.field);
    const { subnetId } = use;
    if (subnetId !== undefined && !found.subnets.some((subnet) => subnet.id === subnetId)) throw notFound('subnet', subnetId, use.field);
  }
  return usable;
}

function requireTakesUsers(network: NetworkRow, field: string): void {
  if (network.lifecycle === 'PRESENT') return;
  throw new MuonError('INVALID_STATE', `The network "${network.name}" is ${network.lifecycle} and takes no new users.`, {
    field,
    data: { id: network.id, state: network.lifecycle },
  });
}

function plannedRows(alongside: ChangeSet | undefined): { networks: NetworkRow[]; subnets: SubnetRow[] } {
  const networks: NetworkRow[] = [];
  const subnets: SubnetRow[] = [];
  for (const row of alongside?.items(ROWS) ?? []) {
    if (!('insert' in row)) continue;
    if (row.table === 'network') networks.push(row.insert as unknown as NetworkRow);
    else if (row.table === 'subnet') subnets.push(row.insert as unknown as SubnetRow);
  }
  return { networks, subnets };
}
