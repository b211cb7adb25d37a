import { statement } from '#database';

/** Machines that older versions have made, with their user data as it is; those that somebody is at are left for later. */
export const lockPlainUserData = statement<{ id: string; tenant_id: string; project_id: string; user_data: string }, [limit: number]>(
  'virtual_machine.lock_plain_user_data',
  `SELECT id, tenant_id, project_id, user_data FROM virtual_machine WHERE user_data <> ''
   ORDER BY id LIMIT $1::int FOR UPDATE SKIP LOCKED`,
);

/** What is wanted of the machine stays what it was, and so does its version. */
export const setSealedUserData = statement<never, [ids: string[], secretIds: string[]]>(
  'virtual_machine.set_sealed_user_data',
  `UPDATE virtual_machine AS m SET user_data = '', user_data_secret = s.secret_id
   FROM unnest($1::text[], $2::text[]) AS s (id, secret_id) WHERE m.id = s.id`,
);
