import { ResourceKey } from '#quota';

/** The quota keys that this room charges, each as a count. */
export const NETWORK_COUNT = ResourceKey.NETWORK_COUNT;
export const LOAD_BALANCER_COUNT = ResourceKey.LOAD_BALANCER_COUNT;
export const FLOATING_IP_COUNT = ResourceKey.FLOATING_IP_COUNT;
export const PORT_COUNT = 'port.count';
export const ROUTER_COUNT = 'router.count';
export const SECURITY_GROUP_COUNT = 'security_group.count';
