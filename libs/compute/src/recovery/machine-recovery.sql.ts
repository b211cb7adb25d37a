import { statement } from '#database';
import type { HostRow } from '#infrastructure';
import type { RecoveryBlock, VirtualMachineRow } from '../virtual-machine/virtual-machine.js';

export interface LostMachine extends Pick<VirtualMachineRow, 'id' | 'revision' | 'desired_power' | 'recovery_block'> {
  health: HostRow['health'];
  fence: HostRow['fence'];
  data_disks: number;
  /** Making it anew has failed a while ago: not tried again yet. */
  failed: boolean;
}

/**
 * Machines that are to be made anew when their host is lost, and whose host does not answer; and those whose host answers
 * again while their rows still say what kept them from it. What an operation is at is left out.
 */
export const lostMachines = statement<LostMachine, [after: string, limit: number, afterFailureMs: number]>(
  'machine_recovery.lost',
  `SELECT m.id, m.revision, m.desired_power, m.recovery_block, h.health, h.fence,
     (SELECT count(*) FROM disk AS d WHERE d.owner_id = m.id AND d.position > 0) AS data_disks,
     EXISTS (
       SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.kind = 'compute.virtual_machine.recreate' AND o.state = 'FAILED'
         AND o.ended_at > clock_timestamp() - make_interval(secs => $3::float8 / 1000)) AS failed
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   WHERE m.recovery = 'RECREATE' AND m.id > $1 AND m.lifecycle = 'PRESENT' AND (h.health <> 'UP' OR m.recovery_block IS NOT NULL)
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
   ORDER BY m.id LIMIT $2::int`,
);

/** Guarded by the row that was judged. */
export const recordRecoveryBlocks = statement<never, [blocks: string]>(
  'machine_recovery.record',
  `WITH judged AS (
     SELECT m.id, nullif(j.block, 'null'::jsonb) AS block
     FROM jsonb_to_recordset($1::jsonb) AS j (id text, revision bigint, block jsonb)
     JOIN virtual_machine AS m ON m.id = j.id AND m.revision = j.revision
     ORDER BY m.id FOR UPDATE OF m
   )
   UPDATE virtual_machine AS m SET recovery_block = judged.block FROM judged WHERE m.id = judged.id`,
);

/** @returns nothing when the host has come back meanwhile, or is not proven to be off any more, or the machine shall wait for it */
export const takeOver = statement<{ id: string }, [machineId: string, lostHostId: string, instanceId: string, hostId: string, rackId: string | null]>(
  'machine_recovery.take_over',
  `WITH lost AS (SELECT id FROM host WHERE id = $2 AND health = 'DOWN' AND fence = 'PROVEN_OFF' FOR SHARE)
   UPDATE virtual_machine AS m SET instance_id = $3, host_id = $4, rack_id = $5
   FROM lost WHERE m.id = $1 AND m.recovery = 'RECREATE' RETURNING m.id`,
);

/** @returns nothing when it shall wait for its host; otherwise that cannot be wished any more before the transaction has ended */
export const lockWished = statement<{ id: string }, [machineId: string]>(
  'machine_recovery.lock_wished',
  `SELECT id FROM virtual_machine WHERE id = $1 AND recovery = 'RECREATE' FOR UPDATE`,
);

/** It is the lost one again. */
export const giveBack = statement<never, [machineId: string, instanceId: string, hostId: string, rackId: string | null]>(
  'machine_recovery.give_back',
  'UPDATE virtual_machine SET instance_id = $2, host_id = $3, rack_id = $4 WHERE id = $1',
);

export const endRecovery = statement<never, [machineId: string, block: string | null]>(
  'machine_recovery.end',
  `UPDATE virtual_machine SET successor_id = NULL, recovery_block = $2::jsonb,
     drift = CASE WHEN $2::jsonb IS NULL THEN NULL ELSE drift END WHERE id = $1`,
);

export type WrittenBlock = { id: string; revision: number; block: RecoveryBlock | null };
