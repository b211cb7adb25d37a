import { statement } from '#database';

/** Its disks were just seen: listings that lag behind are not compared with it yet, and how they differed is over. */
export const noteDisksChanged = statement<never, [machineId: string]>(
  'virtual_machine.note_disks_changed',
  `UPDATE virtual_machine SET observed_at = now(), drift = CASE drift ->> 'code' WHEN 'DISKS_DIFFER' THEN NULL ELSE drift END
   WHERE id = $1 AND lifecycle = 'PRESENT'`,
);
