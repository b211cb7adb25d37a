import { notFound } from '#core';
import type { Outcome } from '#drivers';
import { Transaction, type Monitor } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import type { Port } from '../input.js';
import { carries, Mark, marksOf, requireOwn, revisionOf } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { told } from '../specification.js';
import { Bridges } from './bridges.js';
import { holderOf, nameMarks, Names } from './dns.js';
import { AT_GATEWAY, natsTo, removeNat } from './floating-ips.js';
import { mapPort, unmapPort } from './health-checks.js';
import { joinPortGroups, readPortGroups } from './memberships.js';

/** Floating addresses that lead to it. */
const floatingOf = (portId: string): ReturnType<typeof carries> => carries({ KIND: 'FLOATING_IP', TARGET: portId });

/** A port is a logical switch port, named by its id: hosts bind their interfaces by that name. */
export class Ports {
  readonly #names: Names;
  readonly #bridges: Bridges;

  constructor(
    private readonly backend: Store,
    southbound: Monitor<Southbound>,
  ) {
    this.#names = new Names(backend);
    this.#bridges = new Bridges(backend, southbound);
  }

  async ensure(time: CallTime, port: Port): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => this.#plan(time, port));
  }

  async #plan(time: CallTime, port: Port): Promise<Draft | undefined> {
    const { portId, networkId, subnetId, ownership, revision } = port;
    const { installationId } = ownership;
    const uuid = rowUuid('Logical_Switch_Port', portId);
    const routerUuid = rowUuid('Logical_Router', networkId);
    const switchUuid = rowUuid('Logical_Switch', subnetId);
    const dhcpUuid = rowUuid('DHCP_Options', subnetId);

    const reading = new Transaction<Northbound>();
    const rows = reading.select('Logical_Switch_Port', [['_uuid', '==', uuid]]);
    const routers = reading.select('Logical_Router', [['_uuid', '==', routerUuid]], ['external_ids']);
    const switches = reading.select('Logical_Switch', [['_uuid', '==', switchUuid]], ['external_ids']);
    const dhcp = reading.select('DHCP_Options', [['_uuid', '==', dhcpUuid]], ['external_ids']);
    const holders = reading.select('Logical_Switch', [['ports', 'includes', [uuid]]], ['name']);
    const balancers = reading.select('Load_Balancer', [carries({ NETWORK: networkId })], ['vips', 'ip_port_mappings', 'external_ids']);
    const groupsOf = readPortGroups(reading, port);
    const floating = reading.select('NAT', [floatingOf(portId)], ['logical_ip', 'logical_port', 'external_mac', 'external_ids']);
    const found = await this.backend.read(time, reading);

    const [row] = found.of(rows);
    requireOwn(this.backend.id, installationId, 'port', portId, row);
    if (row !== undefined && revisionOf(row.external_ids) > revision) return undefined;
    const [router] = found.of(routers);
    if (router === undefined) throw notFound('network', networkId);
    requireOwn(this.backend.id, installationId, 'network', networkId, router);
    const [ownSwitch] = found.of(switches);
    // A network that has lost a part of itself is told again, and then this call too.
    if (ownSwitch?.external_ids.get(Mark.NETWORK) !== networkId || found.of(dhcp).length === 0) throw notFound('subnet', subnetId);

    const draft = new Draft();
    draft.expect('Logical_Router', routerUuid, router);
    draft.expect('Logical_Switch', switchUuid, ownSwitch);
    const marks = marksOf(
      { kind: 'PORT', id: portId, revision, networkId, ownership },
      { [Mark.SUBNET]: subnetId, [Mark.HOST]: port.hostName, ...nameMarks({ name: port.name, address: port.ipAddress }), ...told(port) },
    );
    const address = `${port.macAddress} ${port.ipAddress}`;
    draft.ensure('Logical_Switch_Port', uuid, row, {
      name: portId,
      type: '',
      addresses: new Set([address]),
      port_security: new Set([address]),
      // Only this host may bind it, so that a machine that runs twice by mistake is heard once.
      options: new Map([['requested-chassis', port.hostName]]),
      dhcpv4_options: dhcpUuid,
      external_ids: marks,
    });
    const holding = found.of(holders).map((holder) => holder._uuid);
    if (!holding.includes(switchUuid)) draft.join('Logical_Switch', switchUuid, 'ports', uuid);
    for (const other of holding) if (other !== switchUuid) draft.leave('Logical_Switch', other, 'ports', uuid);
    joinPortGroups(draft, this.backend.id, port, groupsOf(found));
    // One that comes meanwhile would not know this port.
    draft.expectRows('Load_Balancer', carries({ NETWORK: networkId }), 'external_ids', found.of(balancers));
    mapPort(draft, port, ownSwitch.external_ids.get(Mark.HEALTH_CHECK_ADDRESS), found.of(balancers));
    await this.#names.change(time, draft, networkId, holderOf(row?.external_ids), holderOf(marks));
    draft.expectRows('NAT', floatingOf(portId), 'external_ids', found.of(floating));
    const moves = row?.external_ids.get(Mark.HOST) !== port.hostName;
    for (const nat of found.of(floating)) {
      const isLost = moves && nat.logical_port !== null && (await this.#bridges.of(time, nat.external_ids.get(Mark.ROUTER) ?? ''))(port.hostName) === false;
      draft.ensure('NAT', nat._uuid, nat, { logical_ip: port.ipAddress, ...(isLost ? AT_GATEWAY : {}), external_ids: nat.external_ids });
    }
    return draft;
  }

  async remove(time: CallTime, portId: string): Promise<Outcome<void>> {
    const uuid = rowUuid('Logical_Switch_Port', portId);
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const rows = reading.select('Logical_Switch_Port', [['_uuid', '==', uuid]], ['external_ids']);
      const holders = reading.select('Logical_Switch', [['ports', 'includes', [uuid]]], ['name']);
      const found = await this.backend.read(time, reading);
      const [row] = found.of(rows);
      if (row === undefined) return undefined;
      requireOwn(this.backend.id, this.backend.settings.installationId, 'port', portId, row);
      const networkId = row.external_ids.get(Mark.NETWORK) ?? '';
      const inNetwork = carries({ NETWORK: networkId });
      const readingBalancers = new Transaction<Northbound>();
      const balancers = readingBalancers.select('Load_Balancer', [inNetwork], ['ip_port_mappings']);
      const floating = readingBalancers.select('NAT', [natsTo(portId)], ['external_ids']);
      const others = await this.backend.read(time, readingBalancers);
      const checking = others.of(balancers);
      const draft = new Draft();
      draft.expect('Logical_Switch_Port', uuid, row);
      // With its last switch it goes by itself.
      for (const holder of found.of(holders)) draft.leave('Logical_Switch', holder._uuid, 'ports', uuid);
      unmapPort(draft, portId, checking);
      await this.#names.change(time, draft, networkId, holderOf(row.external_ids), undefined);
      draft.expectRows('NAT', natsTo(portId), 'external_ids', others.of(floating));
      for (const nat of others.of(floating)) {
        removeNat(draft, nat, [rowUuid('Logical_Router', nat.external_ids.get(Mark.ROUTER) ?? '')]);
      }
      return draft;
    });
  }
}
