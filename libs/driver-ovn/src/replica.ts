import { DONE, pending, type Outcome } from '#drivers';
import type { DatabaseSchema, Monitor, MonitorRequest, Transaction, Outcome as Committed } from '#ovsdb';
import type { CallTime, Store } from './backend.js';
import type { Draft } from './draft.js';
import { carries } from './marks.js';
import type { OvnNetworkSettings } from './options.js';
import type { PartKind } from './part/parts.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

/** The kinds of part that each table holds main rows of. */
export const PART_TABLES = {
  Logical_Router: ['NETWORK', 'PROVIDER_ROUTER', 'ROUTER'],
  Logical_Switch: ['EXTERNAL_NETWORK'],
  Logical_Switch_Port: ['PORT'],
  Load_Balancer: ['LOAD_BALANCER', 'FLOATING_IP'],
  NAT: ['FLOATING_IP'],
  Port_Group: ['SECURITY_GROUP', 'FIREWALL'],
} as const satisfies Partial<Record<MarkedTable, readonly PartKind[]>>;

export type PartTable = keyof typeof PART_TABLES;

/** What of each table says how a part is. */
const COLUMNS: { readonly [Table in MarkedTable]: readonly (keyof Northbound[Table] & string)[] } = {
  Logical_Router: ['name', 'ports', 'static_routes', 'nat', 'load_balancer', 'external_ids'],
  Logical_Router_Port: ['name', 'mac', 'networks', 'peer', 'gateway_chassis', 'ha_chassis_group', 'external_ids'],
  Logical_Router_Static_Route: ['ip_prefix', 'nexthop', 'output_port', 'external_ids'],
  Gateway_Chassis: ['name', 'chassis_name', 'priority', 'external_ids'],
  HA_Chassis_Group: ['name', 'ha_chassis', 'external_ids'],
  HA_Chassis: ['chassis_name', 'priority', 'external_ids'],
  NAT: ['type', 'external_ip', 'logical_ip', 'external_mac', 'logical_port', 'options', 'external_ids'],
  Logical_Switch: ['name', 'ports', 'load_balancer', 'dns_records', 'external_ids'],
  Logical_Switch_Port: ['name', 'type', 'addresses', 'port_security', 'options', 'tag', 'dhcpv4_options', 'external_ids'],
  DHCP_Options: ['cidr', 'options', 'external_ids'],
  DNS: ['records', 'external_ids'],
  Load_Balancer: ['name', 'protocol', 'vips', 'options', 'ip_port_mappings', 'health_check', 'external_ids'],
  Port_Group: ['name', 'ports', 'acls', 'external_ids'],
  ACL: ['direction', 'priority', 'match', 'action', 'tier', 'external_ids'],
  Load_Balancer_Health_Check: ['vip', 'options', 'external_ids'],
};

/** All rows of an installation, and the main rows of everybody's parts. */
export function replicaRequest(schema: DatabaseSchema, installationId: string): MonitorRequest<Northbound> {
  const own = carries({ INSTALLATION: installationId });
  const tables = Object.entries(COLUMNS).map(([table, columns]) => {
    const kinds: readonly PartKind[] = table in PART_TABLES ? PART_TABLES[table as PartTable] : [];
    const known = schema.tables.get(table)?.columns;
    // A row that meets one of them is there.
    const where = [own, ...kinds.map((kind) => carries({ KIND: kind }))];
    return [table, { columns: (columns as readonly string[]).filter((column) => known?.has(column) !== false), where }];
  });
  return Object.fromEntries(tables) as MonitorRequest<Northbound>;
}

/** How far northd and the hosts are, and where an installation's ports are bound: their marks are known from the northbound replica. */
export function southboundRequest(installationId: string): MonitorRequest<Southbound> {
  return {
    SB_Global: { columns: ['nb_cfg'] },
    Chassis: { columns: ['name', 'hostname', 'other_config'] },
    Chassis_Private: { columns: ['name', 'nb_cfg'] },
    Port_Binding: { columns: ['logical_port', 'chassis'], where: [carries({ KIND: 'PORT', INSTALLATION: installationId })] },
  };
}

/** The northbound database as this process knows it, where nothing is made: what is not as it shall be is PENDING. */
export class ReplicaStore implements Store {
  constructor(
    readonly id: string,
    readonly settings: OvnNetworkSettings,
    private readonly replica: Monitor<Northbound>,
  ) {}

  async read(_time: CallTime, transaction: Transaction<Northbound>): Promise<Committed> {
    return this.replica.answer(transaction);
  }

  async settle(_time: CallTime, plan: () => Promise<Draft | undefined>): Promise<Outcome<void>> {
    const draft = await plan();
    return draft === undefined || draft.isEmpty ? DONE : pending(1);
  }
}
