import { statement } from '#database';

/** A page of the networks that a host has ports of, and of the routers that it may lead outside, by id. */
export const findPartsOnHost = statement<{ id: string }, [hostId: string, backendId: string, hostName: string, after: string, limit: number]>(
  'catch_up.parts_on_host',
  `SELECT id FROM (
     SELECT DISTINCT network_id AS id FROM port WHERE host_id = $1 AND backend_id = $2 AND realised_revision > 0 AND network_id > $4
     UNION ALL
     SELECT id FROM router WHERE backend_id = $2 AND $3 = ANY (gateway_hosts) AND realised_revision > 0 AND id > $4
     UNION ALL
     SELECT id FROM provider_router WHERE backend_id = $2 AND $3 = ANY (gateway_hosts) AND realised_revision > 0 AND id > $4
   ) AS part ORDER BY id COLLATE "C" LIMIT $5::int`,
);
