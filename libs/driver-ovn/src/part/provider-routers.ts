import { notFound } from '#core';
import type { Outcome, Ownership, ProviderRouterSpecification } from '#drivers';
import { Transaction, type Monitor, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { inUse } from '../errors.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds, type RowKind } from '../marks.js';
import { macOf, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { told } from '../specification.js';
import { gatewayUuid, leaveOutside, plugIn, rankedChassis, readGateway, type FoundGateway } from './gateways.js';

interface Found {
  router: Northbound['Logical_Router'] | undefined;
  transit: Northbound['Logical_Switch'] | undefined;
  /** Both ends of its link to the transit switch. */
  port: Northbound['Logical_Router_Port'] | undefined;
  plug: Northbound['Logical_Switch_Port'] | undefined;
  sourceNat: Northbound['NAT'] | undefined;
  group: Northbound['HA_Chassis_Group'] | undefined;
  chassis: Row<Northbound['HA_Chassis']>[];
  gateway: FoundGateway;
}

const NOUN = 'provider router';

/** The hosts that lead it, and with it all uplinks that lead to it: they refer to this one row, so that none goes its own way. */
export const chassisGroupUuid = (id: string): string => rowUuid('HA_Chassis_Group', id);

const portName = (id: string): string => `${id}-transit`;
const plugName = (id: string): string => `${id}-router`;

/**
 * A provider's router is a logical router with a distributed gateway port on the external network's switch, and a port on
 * a switch of its own, the transit block, on which tenants' routers have theirs. It translates that block to its address.
 */
export class ProviderRouters {
  constructor(
    private readonly backend: Store,
    private readonly southbound: Monitor<Southbound>,
  ) {}

  async ensure(time: CallTime, providerRouter: ProviderRouterSpecification): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => this.#plan(providerRouter, await this.#read(time, providerRouter)));
  }

  async #read(time: CallTime, { providerRouterId: id, externalNetworkId }: ProviderRouterSpecification): Promise<Found> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', id)]]);
    const switches = reading.select('Logical_Switch', [['_uuid', '==', rowUuid('Logical_Switch', id)]]);
    const ports = reading.select('Logical_Router_Port', [['_uuid', '==', rowUuid('Logical_Router_Port', portName(id))]]);
    const plugs = reading.select('Logical_Switch_Port', [['_uuid', '==', rowUuid('Logical_Switch_Port', plugName(id))]]);
    const nats = reading.select('NAT', [['_uuid', '==', rowUuid('NAT', id)]]);
    const groups = reading.select('HA_Chassis_Group', [['_uuid', '==', chassisGroupUuid(id)]]);
    const chassis = reading.select('HA_Chassis', [carries({ ID: id })]);
    const gateway = readGateway(reading, id, externalNetworkId);
    const found = await this.backend.read(time, reading);
    return {
      router: found.of(routers)[0],
      transit: found.of(switches)[0],
      port: found.of(ports)[0],
      plug: found.of(plugs)[0],
      sourceNat: found.of(nats)[0],
      group: found.of(groups)[0],
      chassis: found.of(chassis),
      gateway: gateway(found),
    };
  }

  /** @returns undefined when a newer revision is there */
  #plan(providerRouter: ProviderRouterSpecification, found: Found): Draft | undefined {
    const { providerRouterId: id, revision, installationId, externalNetworkId } = providerRouter;
    requireOwn(this.backend.id, installationId, NOUN, id, found.router);
    if (found.router !== undefined && revisionOf(found.router.external_ids) > revision) return undefined;
    const { outside } = found.gateway;
    if (outside === undefined) throw notFound('external network', externalNetworkId);
    requireOwn(this.backend.id, installationId, 'external network', externalNetworkId, outside);

    const draft = new Draft();
    const ownership: Ownership = { installationId, tenantId: '', projectId: '' };
    const marks = (kind: RowKind, more?: Record<string, string>): ExternalIds => marksOf({ kind, id, revision, ownership }, more);
    draft.ensure('Logical_Router', rowUuid('Logical_Router', id), found.router, { name: id, external_ids: marks('PROVIDER_ROUTER', told(providerRouter)) });
    this.#writeTransit(draft, providerRouter, found, marks);
    this.#writeChassis(draft, providerRouter, found, marks);
    plugIn(
      draft,
      {
        routerId: id,
        router: found.router,
        outsideId: externalNetworkId,
        address: providerRouter.address,
        chassis: { gateway_chassis: new Set(), ha_chassis_group: chassisGroupUuid(id) },
        marks: marks('UPLINK', { [Mark.EXTERNAL_NETWORK]: externalNetworkId }),
      },
      found.gateway,
    );
    return draft;
  }

  #writeTransit(draft: Draft, providerRouter: ProviderRouterSpecification, found: Found, marks: (kind: RowKind, more?: Record<string, string>) => ExternalIds): void {
    const { providerRouterId: id, address, transitCidr, transitAddress } = providerRouter;
    const routerUuid = rowUuid('Logical_Router', id);
    const transitUuid = rowUuid('Logical_Switch', id);
    draft.ensure('Logical_Switch', transitUuid, found.transit, {
      name: id,
      external_ids: marks('TRANSIT', { [Mark.CIDR]: transitCidr, [Mark.GATEWAY]: transitAddress }),
    });
    const port = rowUuid('Logical_Router_Port', portName(id));
    draft.ensure('Logical_Router_Port', port, found.port, {
      name: portName(id),
      mac: macOf(`transit/${id}`),
      networks: new Set([`${transitAddress}/${transitCidr.split('/')[1] ?? '32'}`]),
      external_ids: marks('LINK'),
    });
    if (found.router?.ports.has(port) !== true) draft.join('Logical_Router', routerUuid, 'ports', port);
    const plug = rowUuid('Logical_Switch_Port', plugName(id));
    draft.ensure('Logical_Switch_Port', plug, found.plug, {
      name: plugName(id),
      type: 'router',
      addresses: new Set(['router']),
      options: new Map([['router-port', portName(id)]]),
      external_ids: marks('LINK'),
    });
    if (found.transit?.ports.has(plug) !== true) draft.join('Logical_Switch', transitUuid, 'ports', plug);
    const nat = rowUuid('NAT', id);
    draft.ensure('NAT', nat, found.sourceNat, { type: 'snat', external_ip: address, logical_ip: transitCidr, external_ids: marks('SOURCE_NAT') });
    if (found.router?.nat.has(nat) !== true) draft.join('Logical_Router', routerUuid, 'nat', nat);
  }

  #writeChassis(draft: Draft, { providerRouterId: id, gatewayHostNames }: ProviderRouterSpecification, found: Found, marks: (kind: RowKind, more?: Record<string, string>) => ExternalIds): void {
    const uuidOf = (name: string): string => rowUuid('HA_Chassis', `${id}/${name}`);
    const chassis = rankedChassis(this.southbound, { hostNames: gatewayHostNames, seen: found.chassis, uuidOf });
    for (const { name, host, priority, uuid } of chassis) {
      const seen = found.chassis.find(({ _uuid }) => _uuid === uuid);
      draft.ensure('HA_Chassis', uuid, seen, { chassis_name: name, priority, external_ids: marks('UPLINK', { [Mark.HOST]: host }) });
    }
    draft.ensure('HA_Chassis_Group', chassisGroupUuid(id), found.group, {
      name: id,
      ha_chassis: new Set(chassis.map(({ uuid }) => uuid)),
      external_ids: marks('UPLINK'),
    });
  }

  async remove(time: CallTime, id: string): Promise<Outcome<void>> {
    const routerUuid = rowUuid('Logical_Router', id);
    const ofRouters = carries({ KIND: 'UPLINK', PROVIDER_ROUTER: id });
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const routers = reading.select('Logical_Router', [['_uuid', '==', routerUuid]], ['external_ids']);
      const switches = reading.select('Logical_Switch', [['_uuid', '==', rowUuid('Logical_Switch', id)]], ['external_ids']);
      const groups = reading.select('HA_Chassis_Group', [['_uuid', '==', chassisGroupUuid(id)]], ['external_ids']);
      const users = reading.select('Logical_Switch_Port', [ofRouters], ['name']);
      const gateway = readGateway(reading, id, null);
      const found = await this.backend.read(time, reading);
      const rows = [...found.of(routers), ...found.of(switches), ...found.of(groups)];
      if (rows.length === 0) return undefined;
      for (const row of rows) requireOwn(this.backend.id, this.backend.settings.installationId, NOUN, id, row);
      if (found.of(users).length > 0) throw inUse(`The provider router "${id}" still has routers.`);
      const draft = new Draft();
      draft.expect('Logical_Router', routerUuid, found.of(routers)[0]);
      // None may come meanwhile.
      draft.expectRows('Logical_Switch_Port', ofRouters, 'name', []);
      leaveOutside(draft, id, gateway(found));
      draft.delete('Logical_Router', routerUuid);
      // It goes with the router, but not before the server counts what refers to the group.
      draft.delete('Logical_Router_Port', gatewayUuid(id));
      draft.delete('Logical_Switch', rowUuid('Logical_Switch', id));
      draft.delete('HA_Chassis_Group', chassisGroupUuid(id));
      return draft;
    });
  }
}
