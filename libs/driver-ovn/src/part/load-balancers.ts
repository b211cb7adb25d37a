import { notFound } from '#core';
import type { LoadBalancerSpecification, Outcome } from '#drivers';
import { Transaction, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { told } from '../specification.js';
import { holderOf, nameMarks, Names } from './dns.js';
import { writeFloatingBalancer, writeMappings } from './floating-balancers.js';
import { natsTo, removeNat } from './floating-ips.js';
import { HEALTH_CHECK_OPTIONS, healthCheckUuid, mappingOf, memberAddresses, vipsOf } from './health-checks.js';
import { networkEndUuid } from './router-links.js';
import { joinSwitches, readLinkedNetworks, readSwitches } from './shared-balancers.js';

interface Rows {
  balancer: Northbound['Load_Balancer'] | undefined;
  router: Pick<Northbound['Logical_Router'], 'load_balancer' | 'external_ids'>;
  switches: Pick<Northbound['Logical_Switch'], 'load_balancer' | 'external_ids'>[];
  /** The network's end of the link to a router, that, and the other networks there. */
  end: Pick<Northbound['Logical_Router_Port'], 'external_ids'> | undefined;
  tenantRouter: { uuid: string; row: Pick<Northbound['Logical_Router'], 'external_ids'> | undefined } | undefined;
  beside: { networkIds: readonly string[]; switches: Pick<Northbound['Logical_Switch'], 'load_balancer'>[] };
  /** Where its members are checked; undefined when no subnet has an address for that. */
  members: Members | undefined;
  checks: ReadonlyMap<string, Northbound['Load_Balancer_Health_Check']>;
  /** The same under floating addresses. */
  floating: Row<Northbound['Load_Balancer']>[];
}

/** The ports of each member's address, and the addresses from which each subnet's are checked. */
interface Members {
  ports: ReadonlyMap<string, Pick<Northbound['Logical_Switch_Port'], 'name' | 'external_ids'>[]>;
  sources: ReadonlyMap<string, string>;
}

/**
 * A load balancer is one row, on every switch of its network and on the router, and on the switches of all networks that are
 * on the same tenant's router: a distributed router balances only what passes its gateway port, so clients inside are served
 * where they are.
 */
export class LoadBalancers {
  readonly #names: Names;

  constructor(private readonly backend: Store) {
    this.#names = new Names(backend);
  }

  async ensure(time: CallTime, balancer: LoadBalancerSpecification): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => {
      const rows = await this.#read(time, balancer);
      if (rows === undefined) return undefined;
      const draft = this.#plan(balancer, rows);
      const { loadBalancerId: id, networkId, name = '', address } = balancer;
      const after = name === '' ? undefined : { id, name, address };
      await this.#names.change(time, draft, networkId, holderOf(rows.balancer?.external_ids), after);
      return draft;
    });
  }

  /** @returns undefined when a newer revision is there */
  async #read(time: CallTime, balancer: LoadBalancerSpecification): Promise<Rows | undefined> {
    const { loadBalancerId, networkId, revision, ownership } = balancer;
    const { id: backend } = this.backend;
    const reading = new Transaction<Northbound>();
    const balancers = reading.select('Load_Balancer', [['_uuid', '==', rowUuid('Load_Balancer', loadBalancerId)]]);
    const checks = reading.select('Load_Balancer_Health_Check', [carries({ ID: loadBalancerId })]);
    const floatingChecks = reading.select('Load_Balancer_Health_Check', [carries({ TARGET: loadBalancerId })]);
    const floating = reading.select('Load_Balancer', [floatingOf(loadBalancerId)]);
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', networkId)]], ['load_balancer', 'external_ids']);
    const switches = reading.select('Logical_Switch', [carries({ NETWORK: networkId })], ['load_balancer', 'external_ids']);
    const ends = reading.select('Logical_Router_Port', [['_uuid', '==', networkEndUuid(networkId)]], ['external_ids']);
    const found = await this.backend.read(time, reading);

    const [row] = found.of(balancers);
    requireOwn(backend, ownership.installationId, 'load balancer', loadBalancerId, row);
    if (row !== undefined && revisionOf(row.external_ids) > revision) return undefined;
    const [router] = found.of(routers);
    if (router === undefined) throw notFound('network', networkId);
    requireOwn(backend, ownership.installationId, 'network', networkId, router);
    return {
      balancer: row,
      router,
      switches: found.of(switches),
      ...(await this.#readBeside(time, networkId, found.of(ends)[0])),
      members: await this.#readMembers(time, balancer, found.of(switches)),
      checks: new Map([...found.of(checks), ...found.of(floatingChecks)].map((check) => [check._uuid, check])),
      floating: found.of(floating),
    };
  }

  /** What else is on the router that the network is on. */
  async #readBeside(time: CallTime, networkId: string, end: Rows['end']): Promise<Pick<Rows, 'end' | 'tenantRouter' | 'beside'>> {
    const routerId = end?.external_ids.get(Mark.ROUTER);
    if (routerId === undefined) return { end, tenantRouter: undefined, beside: { networkIds: [], switches: [] } };
    const uuid = rowUuid('Logical_Router', routerId);
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['_uuid', '==', uuid]], ['external_ids']);
    const [row] = (await this.backend.read(time, reading)).of(routers);
    const networkIds = (await readLinkedNetworks(this.backend, time, routerId)).filter((each) => each !== networkId);
    return { end, tenantRouter: { uuid, row }, beside: { networkIds, switches: await readSwitches(this.backend, time, networkIds) } };
  }

  async #readMembers(time: CallTime, balancer: LoadBalancerSpecification, switches: Rows['switches']): Promise<Members | undefined> {
    const sources = new Map<string, string>();
    for (const { external_ids: marks } of switches) {
      const source = marks.get(Mark.HEALTH_CHECK_ADDRESS) ?? '';
      if (source !== '') sources.set(marks.get(Mark.ID) ?? '', source);
    }
    if (sources.size === 0) return undefined;
    const reading = new Transaction<Northbound>();
    const selects = memberAddresses(balancer).map((address) => {
      const ports = reading.select('Logical_Switch_Port', [portsOf(balancer.networkId, address)], ['name', 'external_ids']);
      return [address, ports] as const;
    });
    const found = await this.backend.read(time, reading);
    return { sources, ports: new Map(selects.map(([address, ports]) => [address, found.of(ports)])) };
  }

  #plan(balancer: LoadBalancerSpecification, rows: Rows): Draft {
    const { loadBalancerId, networkId, revision, ownership } = balancer;
    const uuid = rowUuid('Load_Balancer', loadBalancerId);
    const marks = (kind: 'LOAD_BALANCER' | 'HEALTH_CHECK', more: Record<string, string> = {}): ExternalIds =>
      marksOf({ kind, id: loadBalancerId, revision, networkId, ownership }, more);
    const draft = new Draft();
    const routerUuid = rowUuid('Logical_Router', networkId);
    draft.expect('Logical_Router', routerUuid, rows.router);
    // Nor may the network come to a router meanwhile, or that get others.
    draft.expect('Logical_Router_Port', networkEndUuid(networkId), rows.end);
    if (rows.tenantRouter !== undefined) draft.expect('Logical_Router', rows.tenantRouter.uuid, rows.tenantRouter.row);

    const vips = vipsOf(balancer);
    const mappings = rows.members === undefined ? undefined : this.#mappings(draft, networkId, rows.members);
    const checked = mappings === undefined ? [] : [...vips.keys()];
    const seen = rows.balancer;
    draft.ensure('Load_Balancer', uuid, seen, {
      name: loadBalancerId,
      protocol: 'tcp',
      vips,
      // Clients hear at once that nobody serves them.
      options: new Map([['reject', 'true']]),
      health_check: new Set(checked.map((vip) => healthCheckUuid(loadBalancerId, vip))),
      external_ids: marks('LOAD_BALANCER', { ...nameMarks(balancer), ...told(balancer) }),
    });
    for (const vip of checked) {
      const checkUuid = healthCheckUuid(loadBalancerId, vip);
      const check = { vip, options: HEALTH_CHECK_OPTIONS, external_ids: marks('HEALTH_CHECK') };
      draft.ensure('Load_Balancer_Health_Check', checkUuid, rows.checks.get(checkUuid), check);
    }
    writeMappings(draft, uuid, seen?.ip_port_mappings, mappings);
    draft.expectRows('Load_Balancer', floatingOf(loadBalancerId), 'external_ids', rows.floating);
    for (const row of rows.floating) {
      const { external_ids: floatingMarks } = row;
      const [floatingIpId, address] = [floatingMarks.get(Mark.ID) ?? '', floatingMarks.get(Mark.ADDRESS) ?? ''];
      writeFloatingBalancer(draft, { floatingIpId, address, marks: floatingMarks, seen: row, checks: rows.checks }, { vips, mappings });
    }

    if (!rows.router.load_balancer.has(uuid)) draft.join('Logical_Router', routerUuid, 'load_balancer', uuid);
    if (rows.switches.some((each) => !each.load_balancer.has(uuid))) {
      draft.joinAll('Logical_Switch', carries({ NETWORK: networkId }), 'load_balancer', uuid);
    }
    if (rows.beside.switches.some((each) => !each.load_balancer.has(uuid))) joinSwitches(draft, rows.beside.networkIds, uuid);
    return draft;
  }

  #mappings(draft: Draft, networkId: string, { ports, sources }: Members): ReadonlyMap<string, string> {
    const mappings = new Map<string, string>();
    for (const [address, holders] of ports) {
      // A port that comes meanwhile would not be checked.
      draft.expectRows('Logical_Switch_Port', portsOf(networkId, address), 'name', holders);
      for (const { name, external_ids: marks } of holders) {
        const source = sources.get(marks.get(Mark.SUBNET) ?? '');
        if (source !== undefined) mappings.set(address, mappingOf(name, source));
      }
    }
    return mappings;
  }

  async remove(time: CallTime, loadBalancerId: string): Promise<Outcome<void>> {
    const uuid = rowUuid('Load_Balancer', loadBalancerId);
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const balancers = reading.select('Load_Balancer', [['_uuid', '==', uuid]], ['external_ids']);
      const floating = reading.select('Load_Balancer', [floatingOf(loadBalancerId)], ['external_ids']);
      const nats = reading.select('NAT', [natsTo(loadBalancerId)], ['external_ids']);
      const found = await this.backend.read(time, reading);
      const [row] = found.of(balancers);
      if (row === undefined) return undefined;
      requireOwn(this.backend.id, this.backend.settings.installationId, 'load balancer', loadBalancerId, row);
      const draft = new Draft();
      draft.expect('Load_Balancer', uuid, row);
      // Switches and the router hold it weakly: it leaves them by itself.
      draft.delete('Load_Balancer', uuid);
      await this.#names.change(time, draft, row.external_ids.get(Mark.NETWORK) ?? '', holderOf(row.external_ids), undefined);
      draft.expectRows('Load_Balancer', floatingOf(loadBalancerId), 'external_ids', found.of(floating));
      for (const { _uuid } of found.of(floating)) draft.delete('Load_Balancer', _uuid);
      draft.expectRows('NAT', natsTo(loadBalancerId), 'external_ids', found.of(nats));
      for (const nat of found.of(nats)) removeNat(draft, nat, [rowUuid('Logical_Router', nat.external_ids.get(Mark.ROUTER) ?? '')]);
      return draft;
    });
  }
}

const floatingOf = (loadBalancerId: string): ReturnType<typeof carries> => carries({ KIND: 'FLOATING_IP', TARGET: loadBalancerId });

const portsOf = (networkId: string, address: string): ReturnType<typeof carries> =>
  carries({ KIND: 'PORT', NETWORK: networkId, ADDRESS: address });
