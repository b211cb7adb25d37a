import { Transaction, type Monitor } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { chassisByName, hasBridgeTo } from '../chassis.js';
import { Mark } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { cableOf } from './external-networks.js';
import { gatewayUuid } from './gateways.js';

/** Whether a host has a bridge to where a router leads; undefined where that is not known. */
export type HasBridge = (hostName: string) => boolean | undefined;

/** Which hosts have bridges to where routers lead: on others what leaves by an address of their own is lost. */
export class Bridges {
  constructor(
    private readonly backend: Store,
    private readonly southbound: Monitor<Southbound>,
  ) {}

  async of(time: CallTime, routerId: string): Promise<HasBridge> {
    const readingGateway = new Transaction<Northbound>();
    const gateways = readingGateway.select('Logical_Router_Port', [['_uuid', '==', gatewayUuid(routerId)]], ['external_ids']);
    const [gateway] = (await this.backend.read(time, readingGateway)).of(gateways);
    const readingCable = new Transaction<Northbound>();
    const cable = cableOf(gateway?.external_ids.get(Mark.EXTERNAL_NETWORK) ?? '');
    const cables = readingCable.select('Logical_Switch_Port', [['_uuid', '==', rowUuid('Logical_Switch_Port', cable)]], ['options']);
    const [row] = (await this.backend.read(time, readingCable)).of(cables);
    const physicalNetwork = row?.options.get('network_name');
    if (physicalNetwork === undefined) return () => undefined;
    const chassis = chassisByName(this.southbound);
    return (hostName) => hasBridgeTo(chassis.get(hostName), physicalNetwork);
  }
}
