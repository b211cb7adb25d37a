import type { ExternalNetworkSpecification, Outcome, Ownership } from '#drivers';
import { Transaction } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { inUse } from '../errors.js';
import { carries, Mark, marksOf, requireOwn, revisionOf } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { told } from '../specification.js';

/** It is the installation's, no tenant's. */
const ownershipOf = (installationId: string): Ownership => ({ installationId, tenantId: '', projectId: '' });

/** Its port of type `localnet`. */
export const cableOf = (externalNetworkId: string): string => `${externalNetworkId}-outside`;

/** An external network is a logical switch with a port of type `localnet`, which every host has that has a bridge mapping of the physical network. */
export class ExternalNetworks {
  constructor(private readonly backend: Store) {}

  async ensure(time: CallTime, externalNetwork: ExternalNetworkSpecification): Promise<Outcome<void>> {
    const { externalNetworkId: id, revision, installationId, cidr, gatewayAddress } = externalNetwork;
    const uuid = rowUuid('Logical_Switch', id);
    const cableUuid = rowUuid('Logical_Switch_Port', cableOf(id));
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const switches = reading.select('Logical_Switch', [['_uuid', '==', uuid]]);
      const cables = reading.select('Logical_Switch_Port', [['_uuid', '==', cableUuid]]);
      const found = await this.backend.read(time, reading);
      const [ownSwitch] = found.of(switches);
      requireOwn(this.backend.id, installationId, 'external network', id, ownSwitch);
      if (ownSwitch !== undefined && revisionOf(ownSwitch.external_ids) > revision) return undefined;
      const draft = new Draft();
      const resource = { id, revision, ownership: ownershipOf(installationId) };
      draft.ensure('Logical_Switch', uuid, ownSwitch, {
        name: id,
        external_ids: marksOf({ ...resource, kind: 'EXTERNAL_NETWORK' }, { [Mark.CIDR]: cidr, [Mark.GATEWAY]: gatewayAddress, ...told(externalNetwork) }),
      });
      draft.ensure('Logical_Switch_Port', cableUuid, found.of(cables)[0], {
        name: cableOf(id),
        type: 'localnet',
        addresses: new Set(['unknown']),
        options: new Map([['network_name', externalNetwork.physicalNetwork]]),
        tag: externalNetwork.vlan ?? null,
        external_ids: marksOf({ ...resource, kind: 'UPLINK' }),
      });
      if (ownSwitch?.ports.has(cableUuid) !== true) draft.join('Logical_Switch', uuid, 'ports', cableUuid);
      return draft;
    });
  }

  async remove(time: CallTime, id: string): Promise<Outcome<void>> {
    const uuid = rowUuid('Logical_Switch', id);
    const ofRouters = carries({ KIND: 'UPLINK', EXTERNAL_NETWORK: id });
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const switches = reading.select('Logical_Switch', [['_uuid', '==', uuid]], ['external_ids']);
      const routers = reading.select('Logical_Switch_Port', [ofRouters], ['name']);
      const found = await this.backend.read(time, reading);
      const [row] = found.of(switches);
      if (row === undefined) return undefined;
      requireOwn(this.backend.id, this.backend.settings.installationId, 'external network', id, row);
      if (found.of(routers).length > 0) throw inUse(`The external network "${id}" still has routers.`);
      const draft = new Draft();
      draft.expect('Logical_Switch', uuid, row);
      // None may come meanwhile.
      draft.expectRows('Logical_Switch_Port', ofRouters, 'name', []);
      draft.delete('Logical_Switch', uuid);
      return draft;
    });
  }
}
