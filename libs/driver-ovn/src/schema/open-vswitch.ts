/** The tables and columns of a host's Open vSwitch database that we use (ovs-vswitchd.conf.db(5)). */
export interface OpenVswitch {
  /** `error` says why the switch cannot use the device: it is gone, for one. */
  Interface: { name: string; external_ids: ReadonlyMap<string, string>; error: string | null };
  Port: { name: string; interfaces: ReadonlySet<string> };
  Bridge: { name: string; ports: ReadonlySet<string> };
}
