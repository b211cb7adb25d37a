import type { Row } from '#ovsdb';
import type { Draft } from '../draft.js';
import { Mark, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { HEALTH_CHECK_OPTIONS, healthCheckUuid, vipOf } from './health-checks.js';

type Pairs = ReadonlyMap<string, string>;

/** What a load balancer balances, by its own address. */
export interface Balanced {
  vips: Pairs;
  /** Where its members are checked; undefined when they are not. */
  mappings: Pairs | undefined;
}

export interface FloatingBalancer {
  floatingIpId: string;
  /** Its own address. */
  address: string;
  marks: ExternalIds;
  seen: Row<Northbound['Load_Balancer']> | undefined;
  checks: ReadonlyMap<string, Northbound['Load_Balancer_Health_Check']>;
}

/** The same load balancer under a floating address: a row of its own, which follows the other's members. */
export function writeFloatingBalancer(draft: Draft, floating: FloatingBalancer, balanced: Balanced): void {
  const { floatingIpId, address, marks, seen } = floating;
  const uuid = rowUuid('Load_Balancer', floatingIpId);
  const vips = new Map([...balanced.vips].map(([vip, members]) => [vipOf(address, portOf(vip)), members]));
  const checked = balanced.mappings === undefined ? [] : [...vips.keys()];
  draft.ensure('Load_Balancer', uuid, seen, {
    name: floatingIpId,
    protocol: 'tcp',
    vips,
    options: new Map([['reject', 'true']]),
    health_check: new Set(checked.map((vip) => healthCheckUuid(floatingIpId, vip))),
    external_ids: marks,
  });
  for (const vip of checked) {
    const checkUuid = healthCheckUuid(floatingIpId, vip);
    const external_ids = new Map([...marks, [Mark.KIND, 'HEALTH_CHECK']]);
    external_ids.delete(Mark.SPECIFICATION);
    draft.ensure('Load_Balancer_Health_Check', checkUuid, floating.checks.get(checkUuid), { vip, options: HEALTH_CHECK_OPTIONS, external_ids });
  }
  writeMappings(draft, uuid, seen?.ip_port_mappings, balanced.mappings);
}

/** Only what differs: ports add and remove theirs at the same time. */
export function writeMappings(draft: Draft, balancerUuid: string, seen: Pairs | undefined, wanted: Pairs | undefined): void {
  const stale = [...(seen?.keys() ?? [])].filter((address) => wanted?.has(address) !== true);
  if (stale.length > 0) draft.removePairs('Load_Balancer', balancerUuid, 'ip_port_mappings', stale);
  const wrong = [...(wanted ?? [])].filter(([address, mapping]) => seen?.get(address) !== mapping);
  if (wrong.length > 0) draft.setPairs('Load_Balancer', balancerUuid, 'ip_port_mappings', new Map(wrong));
}

const portOf = (vip: string): number => Number(vip.slice(vip.lastIndexOf(':') + 1));
