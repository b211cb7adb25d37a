/** The tables and columns of OVN's southbound database that we read (ovn-sb(5)). */
export interface Southbound {
  /** northd copies the northbound `nb_cfg` here after it has translated all that was written before. */
  SB_Global: { nb_cfg: number };
  /** `name` is the host's `system-id`; `other_config` what its agent says of the host, bridge mappings among it. */
  Chassis: { name: string; hostname: string; other_config: ReadonlyMap<string, string> };
  /** A chassis copies `nb_cfg` here after its switch has all of it. */
  Chassis_Private: { name: string; nb_cfg: number };
  /** `external_ids` are those of the logical switch port. */
  Port_Binding: { logical_port: string; chassis: string | null; external_ids: ReadonlyMap<string, string> };
}
