import type { LoadBalancerSpecification, PortSpecification } from '#drivers';
import type { Draft } from '../draft.js';
import { rowUuid } from '../names.js';

type Pairs = ReadonlyMap<string, string>;

/** Seconds, and how many answers in a row it takes (ovn-nb(5), Load_Balancer_Health_Check): out after about 6 s, in after 2 s. */
export const HEALTH_CHECK_OPTIONS: Pairs = new Map([
  ['interval', '2'],
  ['timeout', '2'],
  ['success_count', '1'],
  ['failure_count', '3'],
]);

export const vipOf = (address: string, port: number): string => `${address}:${port}`;

export function vipsOf({ address, listeners }: LoadBalancerSpecification): Pairs {
  return new Map(
    listeners.map(({ port, members }) => [vipOf(address, port), members.map((member) => vipOf(member.address, member.port)).join(',')]),
  );
}

export const memberAddresses = ({ listeners }: LoadBalancerSpecification): string[] => [
  ...new Set(listeners.flatMap(({ members }) => members.map(({ address }) => address))),
];

export const healthCheckUuid = (loadBalancerId: string, vip: string): string => rowUuid('Load_Balancer_Health_Check', `${loadBalancerId}/${vip}`);

/** Where a member is checked: at its port, from an address of its subnet that nothing else holds. */
export const mappingOf = (portId: string, source: string): string => `${portId}:${source}`;

interface BalancerRow {
  readonly _uuid: string;
  readonly vips: Pairs;
  readonly ip_port_mappings: Pairs;
}

/** A port that comes, moves or gets another address is checked by the load balancers that have named its address before. */
export function mapPort(draft: Draft, port: PortSpecification, source: string | undefined, balancers: readonly BalancerRow[]): void {
  for (const { _uuid, vips, ip_port_mappings: mappings } of balancers) {
    const wanted = source !== undefined && source !== '' && hasMember(vips, port.ipAddress) ? mappingOf(port.portId, source) : undefined;
    if (wanted !== undefined && mappings.get(port.ipAddress) !== wanted) {
      draft.setPairs('Load_Balancer', _uuid, 'ip_port_mappings', new Map([[port.ipAddress, wanted]]));
    }
    const stale = addressesOf(mappings, port.portId).filter((address) => wanted === undefined || address !== port.ipAddress);
    if (stale.length > 0) draft.removePairs('Load_Balancer', _uuid, 'ip_port_mappings', stale);
  }
}

export function unmapPort(draft: Draft, portId: string, balancers: readonly Pick<BalancerRow, '_uuid' | 'ip_port_mappings'>[]): void {
  for (const { _uuid, ip_port_mappings: mappings } of balancers) {
    const stale = addressesOf(mappings, portId);
    if (stale.length > 0) draft.removePairs('Load_Balancer', _uuid, 'ip_port_mappings', stale);
  }
}

const hasMember = (vips: Pairs, address: string): boolean =>
  [...vips.values()].some((members) => members.split(',').some((member) => member.startsWith(`${address}:`)));

const addressesOf = (mappings: Pairs, portId: string): string[] =>
  [...mappings].filter(([, mapping]) => mapping.startsWith(`${portId}:`)).map(([address]) => address);
