/**
 * The address by which guests know the DHCP server of any subnet. They ask for their address by broadcast, and for a longer
 * lease at this address, by way of their gateway: OVN answers to both on the switch itself. One that no guest and no host has
 * can be allowed to everybody, which the gateways of subnets, that are somebody else's address in another network, cannot.
 */
export const DHCP_SERVER = '169.254.0.67';
