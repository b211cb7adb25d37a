import { backendRefused, type Outcome } from '#drivers';
import { Transaction } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { inUse } from '../errors.js';
import type { Network } from '../input.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { told } from '../specification.js';
import { dnsUuid, readDns, writeDns, type DnsRows } from './dns.js';
import { readAttachment, writeAttachment, type Attachment } from './attachment.js';
import { networkEndUuid } from './router-links.js';
import { readSubnet, writeSubnet, type SubnetRows } from './subnets.js';

/** The rows of a subnet that stand for themselves; its switch's end of the link goes with the switch. */
const SUBNET_TABLES = { Logical_Switch: 'SUBNET', Logical_Router_Port: 'LINK', DHCP_Options: 'DHCP' } as const;
type SubnetTable = keyof typeof SUBNET_TABLES;

interface StaleRow {
  table: SubnetTable;
  uuid: string;
  external_ids: ExternalIds;
}

/** What is there of one network. */
interface Found {
  router: { external_ids: ExternalIds; name: string; ports: ReadonlySet<string>; load_balancer: ReadonlySet<string> } | undefined;
  /** In the order of the desired subnets. */
  subnets: SubnetRows[];
  /** What is left of subnets that the network no longer has. */
  stale: StaleRow[];
  balancers: { _uuid: string; name: string }[];
  dns: DnsRows;
  /** Its end of the link to the router that it is on, and that. */
  end: { external_ids: ExternalIds } | undefined;
  attachment: Attachment | undefined;
}

/**
 * A network is a logical router of its own, with a logical switch for each subnet. Nothing leads from one router to
 * another, so networks may have the same addresses.
 */
export class Networks {
  constructor(private readonly backend: Store) {}

  async ensure(time: CallTime, network: Network): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => {
      const found = await this.#find(time, network);
      for (const subnetId of subnetsOf(found.stale)) await this.#requireUnused(time, subnetId);
      return this.#plan(network, found);
    });
  }

  async #find(time: CallTime, { networkId, subnets }: Network): Promise<Found> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', networkId)]]);
    const readers = subnets.map(({ subnetId }) => readSubnet(reading, subnetId));
    const ofSubnets = (Object.keys(SUBNET_TABLES) as SubnetTable[]).map((table) => {
      const where = [carries({ KIND: SUBNET_TABLES[table], NETWORK: networkId })];
      return { table, rows: reading.select(table, where, ['external_ids']) };
    });
    const balancers = reading.select('Load_Balancer', [carries({ KIND: 'LOAD_BALANCER', NETWORK: networkId })], ['name']);
    const dns = readDns(reading, networkId);
    const found = await this.backend.read(time, reading);
    const wanted = new Set(subnets.map(({ subnetId }) => subnetId));
    return {
      router: found.of(routers)[0],
      subnets: readers.map((read) => read(found)),
      stale: ofSubnets
        .flatMap(({ table, rows }) => found.of(rows).map(({ _uuid: uuid, external_ids }) => ({ table, uuid, external_ids })))
        .filter(({ external_ids }) => !wanted.has(subnetOf(external_ids))),
      balancers: found.of(balancers),
      dns: dns(found),
      ...(await readAttachment(this.backend, time, networkId)),
    };
  }

  async #requireUnused(time: CallTime, subnetId: string): Promise<void> {
    const reading = new Transaction<Northbound>();
    const ports = reading.select('Logical_Switch_Port', [carries({ KIND: 'PORT', SUBNET: subnetId })], ['name']);
    if ((await this.backend.read(time, reading)).of(ports).length > 0) throw inUse(`The subnet "${subnetId}" still has ports.`);
  }

  #plan(network: Network, found: Found): Draft | undefined {
    const { networkId, revision, ownership, domain } = network;
    const rows = [found.router, found.dns.records, ...found.stale, ...found.subnets.flatMap((subnet) => Object.values(subnet) as SubnetRows[keyof SubnetRows][])];
    for (const row of rows) {
      requireOwn(this.backend.id, ownership.installationId, 'network', networkId, row);
      if (row !== undefined && (row.external_ids.get(Mark.NETWORK) ?? networkId) !== networkId) {
        throw backendRefused(this.backend.id, `A subnet of the network "${networkId}" belongs to another network.`);
      }
    }
    if (rows.some((row) => row !== undefined && revisionOf(row.external_ids) > revision)) return undefined;

    const draft = new Draft();
    const routerUuid = rowUuid('Logical_Router', networkId);
    draft.ensure('Logical_Router', routerUuid, found.router, {
      name: networkId,
      external_ids: marksOf({ kind: 'NETWORK', id: networkId, revision, networkId, ownership }, { [Mark.DOMAIN]: domain ?? '', ...told(network) }),
    });
    writeDns(draft, network, found.dns);
    network.subnets.forEach((subnet, index) => {
      writeSubnet(draft, network, subnet, found.subnets[index] ?? {}, this.backend.settings);
      const linkUuid = rowUuid('Logical_Router_Port', subnet.subnetId);
      if (found.router?.ports.has(linkUuid) !== true) draft.join('Logical_Router', routerUuid, 'ports', linkUuid);
      const answers = found.subnets[index]?.switch?.dns_records.has(dnsUuid(networkId)) === true;
      if (domain !== undefined && !answers) draft.join('Logical_Switch', rowUuid('Logical_Switch', subnet.subnetId), 'dns_records', dnsUuid(networkId));
    });
    // No port may come meanwhile: it would go with its switch.
    for (const subnetId of subnetsOf(found.stale)) draft.expectRows('Logical_Switch_Port', carries({ KIND: 'PORT', SUBNET: subnetId }), 'name', []);
    for (const { table, uuid, external_ids } of found.stale) {
      draft.expect(table, uuid, { external_ids });
      if (table === 'Logical_Router_Port') draft.leave('Logical_Router', routerUuid, 'ports', uuid);
      else draft.delete(table, uuid);
    }
    this.#attachBalancers(draft, network, found);
    draft.expect('Logical_Router_Port', networkEndUuid(networkId), found.end);
    if (found.attachment !== undefined) writeAttachment(draft, network, found.attachment, found.subnets);
    return draft;
  }

  /** Clients anywhere in the network reach its load balancers, also from subnets that come later. Those under floating addresses are the router's. */
  #attachBalancers(draft: Draft, { networkId, subnets }: Network, { balancers, router, subnets: seen }: Found): void {
    // One that comes meanwhile would not be on a new switch.
    draft.expectRows('Load_Balancer', carries({ KIND: 'LOAD_BALANCER', NETWORK: networkId }), 'name', balancers);
    const routerUuid = rowUuid('Logical_Router', networkId);
    for (const { _uuid: balancer } of balancers) {
      if (router?.load_balancer.has(balancer) !== true) draft.join('Logical_Router', routerUuid, 'load_balancer', balancer);
      subnets.forEach(({ subnetId }, index) => {
        if (seen[index]?.switch?.load_balancer.has(balancer) === true) return;
        draft.join('Logical_Switch', rowUuid('Logical_Switch', subnetId), 'load_balancer', balancer);
      });
    }
  }

  async remove(time: CallTime, networkId: string): Promise<Outcome<void>> {
    const { settings, id: backend } = this.backend;
    const ofNetwork = carries({ NETWORK: networkId });
    const users = { ports: carries({ KIND: 'PORT', NETWORK: networkId }), balancers: carries({ KIND: 'LOAD_BALANCER', NETWORK: networkId }) };
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', networkId)]], ['external_ids']);
      const switches = reading.select('Logical_Switch', [ofNetwork], ['external_ids']);
      const dhcp = reading.select('DHCP_Options', [ofNetwork], ['external_ids']);
      const dns = reading.select('DNS', [ofNetwork], ['external_ids']);
      const ports = reading.select('Logical_Switch_Port', [users.ports], ['name']);
      const balancers = reading.select('Load_Balancer', [users.balancers], ['name']);
      const ends = reading.select('Logical_Router_Port', [['_uuid', '==', networkEndUuid(networkId)]], ['external_ids']);
      const found = await this.backend.read(time, reading);
      const rows = [
        ...found.of(routers).map((row) => ({ table: 'Logical_Router', row }) as const),
        ...found.of(switches).map((row) => ({ table: 'Logical_Switch', row }) as const),
        ...found.of(dhcp).map((row) => ({ table: 'DHCP_Options', row }) as const),
        ...found.of(dns).map((row) => ({ table: 'DNS', row }) as const),
      ];
      if (rows.length === 0) return undefined;
      for (const { row } of rows) requireOwn(backend, settings.installationId, 'network', networkId, row);
      if (found.of(ports).length + found.of(balancers).length > 0) {
        throw inUse(`The network "${networkId}" still has ports or load balancers.`);
      }
      if (found.of(ends).length > 0) throw inUse(`The network "${networkId}" is still on a router.`);
      const draft = new Draft();
      // None of them may come meanwhile.
      draft.expect('Logical_Router_Port', networkEndUuid(networkId), undefined);
      draft.expectRows('Logical_Switch_Port', users.ports, 'name', []);
      draft.expectRows('Load_Balancer', users.balancers, 'name', []);
      for (const { table, row } of rows) {
        draft.expect(table, row._uuid, row);
        draft.delete(table, row._uuid);
      }
      return draft;
    });
  }
}

const subnetOf = (externalIds: ExternalIds): string => externalIds.get(Mark.ID) ?? '';
const subnetsOf = (rows: readonly StaleRow[]): Set<string> => new Set(rows.map(({ external_ids }) => subnetOf(external_ids)));
