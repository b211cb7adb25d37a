import { MuonError } from '#core';
import type { Reader } from '#database';
import { findNetworkUsers, type NetworkUserRow } from '../network/network.sql.js';

const SHOWN_USERS = 10;
const NOUNS = { PORT: 'port', LOAD_BALANCER: 'load balancer', ROUTER: 'router' } as const;

function inUse(noun: string, users: readonly NetworkUserRow[]): MuonError {
  const shown = users.slice(0, SHOWN_USERS);
  const list = shown.map((user) => `${NOUNS[user.kind]} "${user.name}"`).join(', ');
  const more = users.length > SHOWN_USERS ? ' and more' : '';
  return new MuonError('INVALID_STATE', `The ${noun} is in use by ${list}${more}; delete those first.`, {
    data: { users: shown.map((user) => ({ id: user.id, kind: user.kind, name: user.name, ownerId: user.owner_id })), more: more !== '' },
  });
}

/** @throws INVALID_STATE listing who uses the network */
export async function refuseUsedNetwork(reader: Reader, networkId: string): Promise<void> {
  const users = await reader.rows(findNetworkUsers, networkId, null, SHOWN_USERS + 1);
  if (users.length > 0) throw inUse('network', users);
}

/** @throws INVALID_STATE listing who has addresses of the subnet */
export async function refuseUsedSubnet(reader: Reader, subnet: { networkId: string; subnetId: string }): Promise<void> {
  const users = await reader.rows(findNetworkUsers, subnet.networkId, subnet.subnetId, SHOWN_USERS + 1);
  if (users.length > 0) throw inUse('subnet', users);
}
