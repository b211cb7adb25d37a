import { invalidInput, MuonError, notFound } from '#core';
import { ChangeSet, type Reader } from '#database';
import { usableGroups } from '#network';
import { lockResources, type ReadmitContext } from '#operations';
import { SCOPES } from '#scopes';
import { usableZones } from '#tenancy';
import { findAffinityGroups } from '../affinity-group/affinity-group.sql.js';
import { findFlavors } from '../flavor/flavor.sql.js';
import { findImages } from '../image/image.sql.js';
import { planVirtualMachines, type MachineRequest } from './machine-plan.js';
import { Lifecycle, type VirtualMachineRow } from './virtual-machine.js';
import { findVirtualMachines } from './virtual-machine.sql.js';

/**
 * Admits a machine that could not be made once more: the same request under the same id, with a new place, address, disk,
 * claims and charges.
 * @throws INVALID_STATE unless it has failed; whatever a new request would be refused with
 */
export async function readmitMachine({ operation, reader }: ReadmitContext<{ machineId: string }>): Promise<ChangeSet> {
  const { machineId } = operation.input;
  const [row] = await reader.rows(findVirtualMachines, [machineId]);
  if (row === undefined) throw notFound('virtual machine', machineId);
  if (row.lifecycle !== Lifecycle.FAILED) {
    throw new MuonError('INVALID_STATE', `The machine "${row.name}" is ${row.lifecycle.toLowerCase()}; only one that failed is made again.`);
  }
  const { tenant_id: tenantId, project_id: projectId } = row;
  const machines = [await requestOf(reader, row)];
  await usableGroups(reader, null, projectId, row.security_group_ids.map((id) => ({ id, field: 'input.id' })));
  const set = await planVirtualMachines(reader, null, { tenantId, projectId, strategy: 'SPREAD', machines });
  const changes = new ChangeSet().include(set.changes);
  changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, { scopeId: projectId, need: 'ACTIVE' });
  lockResources(changes, operation.id, set.lockIds);
  changes.result = { id: machineId };
  return changes;
}

async function requestOf(reader: Reader, row: VirtualMachineRow): Promise<MachineRequest> {
  const [flavor] = await reader.rows(findFlavors, [row.flavor_id]);
  const [image] = await reader.rows(findImages, [row.image_id]);
  const [group] = row.affinity_group_id === null ? [] : await reader.rows(findAffinityGroups, [row.affinity_group_id]);
  const usable = (await usableZones(reader, row.tenant_id)).map((zone) => zone.id);
  const zoneIds = row.zone_ids.length === 0 ? usable : usable.filter((id) => row.zone_ids.includes(id));
  if (zoneIds.length === 0) throw new MuonError('INVALID_STATE', 'None of its zones takes new machines of the tenant any more.');
  if (flavor === undefined || image === undefined || row.network_id === null) {
    throw invalidInput('input.id', 'It was made by an older version; delete it and make it anew.');
  }
  return {
    id: row.id,
    name: row.name,
    field: 'input',
    flavor,
    image,
    networkId: row.network_id,
    securityGroupIds: row.security_group_ids,
    zoneIds,
    ...(row.datastore_kind === null ? {} : { datastoreKind: row.datastore_kind }),
    affinityGroup: group ?? null,
    ownerId: row.owner_id,
    power: row.desired_power,
    userData: null,
    metadata: row.metadata,
    recovery: row.recovery,
    existing: { version: row.version, storagePolicyId: row.storage_policy_id },
  };
}
