type Texts = ReadonlySet<string>;
type Pairs = ReadonlyMap<string, string>;

/** The tables and columns of OVN's northbound database that we use (ovn-nb(5)); UUIDs are references. */
export interface Northbound {
  NB_Global: { nb_cfg: number };
  Logical_Router: { name: string; ports: Texts; static_routes: Texts; nat: Texts; load_balancer: Texts; external_ids: Pairs };
  Logical_Router_Port: { name: string; mac: string; networks: Texts; peer: string | null; gateway_chassis: Texts; ha_chassis_group: string | null; external_ids: Pairs };
  Logical_Router_Static_Route: { ip_prefix: string; nexthop: string; output_port: string | null; external_ids: Pairs };
  Gateway_Chassis: { name: string; chassis_name: string; priority: number; external_ids: Pairs };
  HA_Chassis_Group: { name: string; ha_chassis: Texts; external_ids: Pairs };
  HA_Chassis: { chassis_name: string; priority: number; external_ids: Pairs };
  NAT: {
    type: string;
    external_ip: string;
    logical_ip: string;
    external_mac: string | null;
    logical_port: string | null;
    options: Pairs;
    external_ids: Pairs;
  };
  Logical_Switch: { name: string; ports: Texts; load_balancer: Texts; dns_records: Texts; external_ids: Pairs };
  Logical_Switch_Port: {
    name: string;
    type: string;
    addresses: Texts;
    port_security: Texts;
    options: Pairs;
    tag: number | null;
    dhcpv4_options: string | null;
    external_ids: Pairs;
  };
  DHCP_Options: { cidr: string; options: Pairs; external_ids: Pairs };
  DNS: { records: Pairs; external_ids: Pairs };
  Load_Balancer: {
    name: string;
    protocol: string | null;
    vips: Pairs;
    options: Pairs;
    ip_port_mappings: Pairs;
    health_check: Texts;
    external_ids: Pairs;
  };
  Port_Group: { name: string; ports: Texts; acls: Texts; external_ids: Pairs };
  ACL: {
    direction: string;
    priority: number;
    match: string;
    action: string;
    /** OVN 23.06 and later. */
    tier?: number;
    external_ids: Pairs;
  };
  Load_Balancer_Health_Check: { vip: string; options: Pairs; external_ids: Pairs };
}

/** Tables whose rows carry our marks. */
export type MarkedTable = Exclude<keyof Northbound, 'NB_Global'>;
