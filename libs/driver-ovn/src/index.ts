/**
 * The network contract of `#drivers` on the northbound database of OVN (ovn-nb(5)):
 *
 * | part | rows |
 * | --- | --- |
 * | network | a `Logical_Router` of its own |
 * | subnet | a `Logical_Switch`, its link to the router (`Logical_Router_Port`, a `Logical_Switch_Port` of type `router`), `DHCP_Options` |
 * | port | a `Logical_Switch_Port` named by the port's id, which the host's interface is bound by (`iface-id`) |
 * | names | a `DNS` row on all switches of the network, with the records of its ports and load balancers |
 * | load balancer | a `Load_Balancer` on all switches of the network and on the router; `Load_Balancer_Health_Check` rows where its subnets have an address for that |
 * | external network | a `Logical_Switch` with a port of type `localnet` |
 * | router | a `Logical_Router`, linked to those of its networks by pairs of ports; its uplink is a distributed gateway port |
 * | provider's router | a `Logical_Router` with a port on a `Logical_Switch` of its own, the transit block, and a distributed gateway port outside; its `HA_Chassis_Group` is that of all uplinks that lead to it |
 * | floating address | a row of `NAT`, on its machine's host where that reaches outside, or a second `Load_Balancer`; behind a provider's router another row of `NAT` on that |
 *
 * Every row carries in `external_ids` what it is, whose, and of which revision (`muon:…`). A row's UUID derives from its
 * resource's id. Each write is one transaction that holds only while what it was decided on is still so. The main row of a
 * part also carries what was told of it: with that a replica of the rows shows whether to tell it again would change
 * anything, which is how what somebody has changed by hand is seen.
 */
export { openOvnNetwork, OvnNetworkDriver, type OvnCapabilities } from './ovn-network-driver.js';
export type { OvnNetworkOptions } from './options.js';
