import type { ObservedNetworkPart } from '#drivers';
import type { Transaction } from '#ovsdb';
import { carries } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';

/** Writes behind the driver's back. */
export type Damage = (transaction: Transaction<Northbound>) => unknown;

/** What somebody may do to a part by hand. */
const DAMAGES: Record<ObservedNetworkPart['kind'], (id: string, installationId: string) => Damage> = {
  NETWORK: (id) => (transaction) => transaction.mutate('DHCP_Options', [carries({ NETWORK: id })], [['options', 'delete', ['router']]]),
  PORT: (id) => (transaction) => transaction.update('Logical_Switch_Port', [['name', '==', id]], { addresses: ['unknown'] }),
  LOAD_BALANCER: (id) => (transaction) => transaction.update('Load_Balancer', [['name', '==', id]], { vips: {} }),
  EXTERNAL_NETWORK: (id) => (transaction) => transaction.mutate('Logical_Switch', [['name', '==', id]], [['ports', 'delete', [rowUuid('Logical_Switch_Port', `${id}-outside`)]]]),
  PROVIDER_ROUTER: (id) => (transaction) => transaction.update('Logical_Router', [['name', '==', id]], { nat: [] }),
  ROUTER: (id) => (transaction) => transaction.update('Logical_Router', [['name', '==', id]], { static_routes: [] }),
  FLOATING_IP: (id) => (transaction) => transaction.update('NAT', [['_uuid', '==', rowUuid('NAT', id)]], { external_ip: '198.51.100.99' }),
  SECURITY_GROUP: (id) => (transaction) => transaction.update('ACL', [carries({ ID: id }), ['action', '==', 'drop']], { action: 'allow' }),
  FIREWALL: (_id, installationId) => (transaction) =>
    transaction.update('Port_Group', [carries({ KIND: 'FIREWALL_SCOPE', INSTALLATION: installationId })], { acls: [] }),
};

/** What a row of the part says otherwise afterwards. */
export const damage = ({ kind, id, installationId }: ObservedNetworkPart): Damage => DAMAGES[kind](id, installationId);

/** Takes a port away. */
export const loss = (portId: string): Damage => (transaction) =>
  transaction.mutate('Logical_Switch', [], [['ports', 'delete', [rowUuid('Logical_Switch_Port', portId)]]]);
