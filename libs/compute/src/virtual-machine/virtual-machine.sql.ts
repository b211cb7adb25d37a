import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { SecretRef } from '#secrets';
import type { VirtualMachineRow } from './virtual-machine.js';

const COLUMNS = `id, tenant_id, project_id, name, owner_id, flavor_id, image_id, affinity_group_id, cpu, memory_mib,
  desired_power, recovery, metadata, network_id, security_group_ids, zone_ids, datastore_kind, storage_policy_id, zone_id, rack_id, host_id, backend_id,
  instance_id, successor_id, recovery_block, lifecycle, observed_power, observed_at, observed_reason, failure, drift, version, revision,
  created_at, updated_at`;

export const findVirtualMachines = statement<VirtualMachineRow, [ids: string[]]>(
  'virtual_machine.find',
  `SELECT ${COLUMNS} FROM virtual_machine WHERE id = ANY($1)`,
);

export const findVisibleVirtualMachines = statement<
  VirtualMachineRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('virtual_machine.find_visible', `SELECT ${COLUMNS} FROM virtual_machine AS m WHERE ${visible('m', 1)} AND id = ANY($4)`);

export const findVirtualMachineByName = statement<VirtualMachineRow, [projectId: string, name: string]>(
  'virtual_machine.find_by_name',
  `SELECT ${COLUMNS} FROM virtual_machine WHERE project_id = $1 AND name = $2`,
);

export const findVirtualMachinesOfOwners = statement<VirtualMachineRow, [ownerIds: string[]]>(
  'virtual_machine.find_of_owners',
  `SELECT ${COLUMNS} FROM virtual_machine WHERE owner_id = ANY($1) ORDER BY owner_id, name`,
);

/** Those that a backend has under these ids, or is to have. */
export const findInstances = statement<{ id: string }, [instanceIds: string[]]>(
  'virtual_machine.find_instances',
  `SELECT instance_id AS id FROM virtual_machine WHERE instance_id = ANY($1)
   UNION SELECT successor_id FROM virtual_machine WHERE successor_id = ANY($1)`,
);

/** Everything that the compute driver is told of machines, in one row each. */
export interface MachineToRealise {
  id: string;
  name: string;
  tenant_id: string;
  project_id: string;
  backend_id: string;
  instance_id: string;
  host_id: string;
  image_reference: string;
  cpu: number;
  memory_mib: number;
  /** Only of what an older version has made, until it is sealed. */
  user_data: string;
  user_data_secret: SecretRef | null;
  desired_power: VirtualMachineRow['desired_power'];
  lifecycle: VirtualMachineRow['lifecycle'];
}

export const findMachineToRealise = statement<MachineToRealise, [id: string]>(
  'virtual_machine.to_realise',
  `SELECT m.id, m.name, m.tenant_id, m.project_id, m.backend_id, m.instance_id, m.host_id, i.reference AS image_reference,
     m.cpu, m.memory_mib, m.user_data, m.user_data_secret, m.desired_power, m.lifecycle
   FROM virtual_machine AS m JOIN image AS i ON i.id = m.image_id WHERE m.id = $1`,
);

type ListParameters = [
  all: boolean,
  tenantIds: string[],
  projectIds: string[],
  projectId: string | null,
  tenantId: string | null,
  ownerId: string | null,
  hostId: string | null,
  name: string | null,
  states: string[] | null,
];

/** Parameters: `access.filter`, then the filters, each null for any; states as `rowsInStates` makes them. */
export const virtualMachines = keysetList<VirtualMachineRow, ListParameters>(
  'virtual_machine.list',
  `SELECT ${COLUMNS} FROM virtual_machine AS m
   WHERE ${visible('m', 1)}
     AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR owner_id = $6) AND ($7::text IS NULL OR host_id = $7)
     AND ($8::text IS NULL OR name = $8)
     AND ($9::text[] IS NULL OR concat_ws('/', lifecycle, desired_power, observed_power) = ANY($9))`,
  9,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const markPresent = statement<never, [id: string, power: string]>(
  'virtual_machine.mark_present',
  `UPDATE virtual_machine SET lifecycle = 'PRESENT', observed_power = $2, observed_at = now(), observed_reason = NULL,
     failure = NULL WHERE id = $1`,
);

/** One whose deletion called its making off stays on its way out, or it would be deleted once more. */
export const markFailed = statement<never, [id: string, failure: string | null]>(
  'virtual_machine.mark_failed',
  `UPDATE virtual_machine SET lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END,
     failure = $2::jsonb, observed_power = 'UNKNOWN', observed_at = now()
   WHERE id = $1`,
);

/** Its deletion did not come to an end. */
export const markKept = statement<never, [id: string]>(
  'virtual_machine.mark_kept',
  `UPDATE virtual_machine SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

/** A change of power was undone: what was desired before holds again. */
export const restorePower = statement<never, [id: string, desiredPower: string]>(
  'virtual_machine.restore_power',
  'UPDATE virtual_machine SET desired_power = $2, version = version + 1 WHERE id = $1 AND desired_power <> $2',
);

/** A resize was undone: the size of before holds again. */
export const restoreSize = statement<never, [id: string, flavorId: string, cpu: number, memoryMib: number]>(
  'virtual_machine.restore_size',
  `UPDATE virtual_machine SET flavor_id = $2, cpu = $3, memory_mib = $4, version = version + 1
   WHERE id = $1 AND (flavor_id, cpu, memory_mib) IS DISTINCT FROM ($2::text, $3::int, $4::int)`,
);

export const moveToHost = statement<never, [id: string, hostId: string, rackId: string | null]>(
  'virtual_machine.move_to_host',
  'UPDATE virtual_machine SET host_id = $2, rack_id = $3 WHERE id = $1',
);

export const removeVirtualMachine = statement<never, [id: string]>(
  'virtual_machine.remove',
  'DELETE FROM virtual_machine WHERE id = $1',
);

/** Locks those of these machines that hold nothing on a backend: never begun, or taken back. */
export const lockUnmadeMachines = statement<{ id: string; backend_id: string; instance_id: string }, [ids: string[]]>(
  'virtual_machine.lock_unmade',
  `SELECT id, backend_id, instance_id FROM virtual_machine WHERE id = ANY($1) AND lifecycle IN ('CREATING', 'FAILED') ORDER BY id FOR UPDATE`,
);

export const removeVirtualMachines = statement<never, [ids: string[]]>(
  'virtual_machine.remove_all',
  'DELETE FROM virtual_machine WHERE id = ANY($1)',
);
