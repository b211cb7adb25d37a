import { statement } from '#database';
import type { FaultState } from './fault.js';
import type { GuestRunRecord, HostUsage, MachineDetail, NetworkPartDetail, WorldCounts, WorldObject } from './world.js';

export const createHosts = statement<{ name: string }, [backendId: string, hosts: string]>(
  'simulated_world.create_hosts',
  `SELECT hosts_create($1, $2) AS name`,
);

export const setHost = statement<{ known: boolean }, [backendId: string, name: string, state: string]>(
  'simulated_world.set_host',
  `SELECT host_set($1, $2, $3) AS known`,
);

export const connectHost = statement<{ known: boolean }, [backendId: string, name: string, physicalNetwork: string, connected: boolean]>(
  'simulated_world.connect_host',
  `SELECT host_connect($1, $2, $3, $4) AS known`,
);

export const setPoolHealth = statement<{ name: string }, [backendId: string, name: string, health: string]>(
  'simulated_world.set_pool_health',
  `UPDATE pool SET health = $3 WHERE backend_id = $1 AND name = $2 RETURNING name`,
);

export const damagePart = statement<{ known: boolean }, [backendId: string, id: string]>(
  'simulated_world.damage_part',
  `SELECT part_damage($1, $2) AS known`,
);

export const losePart = statement<{ known: boolean }, [backendId: string, id: string]>(
  'simulated_world.lose_part',
  `SELECT part_lose($1, $2) AS known`,
);

export const addFault = statement<{ id: number }, [backendId: string, fault: string]>(
  'simulated_world.add_fault',
  `SELECT fault_add($1, $2) AS id`,
);

export const clearFaults = statement<never, [backendId: string]>(
  'simulated_world.clear_faults',
  `DELETE FROM fault WHERE backend_id = $1`,
);

export const listFaults = statement<FaultState, [backendId: string]>(
  'simulated_world.list_faults',
  `SELECT id, kind, method, resource_id AS "resourceId", seen, fired FROM fault WHERE backend_id = $1 ORDER BY id`,
);

export const addGuestResponse = statement<
  never,
  [backendId: string, pattern: string, machineId: string | null, exitCode: number, output: string, error: string]
>(
  'simulated_world.add_guest_response',
  `INSERT INTO guest_response (backend_id, pattern, machine_id, exit_code, standard_output, standard_error)
   VALUES ($1, $2, $3, $4, $5, $6)`,
);

export const listGuestRuns = statement<GuestRunRecord, [backendId: string, machineId: string]>(
  'simulated_world.list_guest_runs',
  `SELECT run_id AS "runId", script, exit_code AS "exitCode" FROM guest_run
   WHERE backend_id = $1 AND machine_id = $2 ORDER BY run_id`,
);

export const landWork = statement<never, [backendId: string]>(
  'simulated_world.land_work',
  `UPDATE work SET due_at = least(due_at, clock_timestamp()) WHERE backend_id = $1`,
);

export const countWorld = statement<WorldCounts, [backendId: string]>(
  'simulated_world.count',
  `SELECT
     (SELECT count(*)::int FROM host WHERE backend_id = $1) AS hosts,
     (SELECT count(*)::int FROM machine WHERE backend_id = $1) AS machines,
     (SELECT count(*)::int FROM machine WHERE backend_id = $1 AND power = 'RUNNING') AS "runningMachines",
     (SELECT count(*)::int FROM disk WHERE backend_id = $1) AS disks,
     (SELECT count(*)::int FROM snapshot WHERE backend_id = $1) AS snapshots,
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'NETWORK') AS networks,
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'PORT') AS ports,
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'LOAD_BALANCER') AS "loadBalancers",
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'EXTERNAL_NETWORK') AS "externalNetworks",
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'PROVIDER_ROUTER') AS "providerRouters",
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'ROUTER') AS routers,
     (SELECT count(*)::int FROM network_part WHERE backend_id = $1 AND kind = 'FLOATING_IP') AS "floatingIps",
     (SELECT count(*)::int FROM guest_run WHERE backend_id = $1) AS "guestRuns",
     (SELECT count(*)::int FROM work WHERE backend_id = $1) AS "pendingWork"`,
);

export const listObjects = statement<WorldObject, [backendId: string]>(
  'simulated_world.list_objects',
  `SELECT 'MACHINE' AS kind, id, installation_id AS "installationId", tenant_id AS "tenantId", project_id AS "projectId"
   FROM machine WHERE backend_id = $1
   UNION ALL
   SELECT 'DISK', id, installation_id, tenant_id, project_id FROM disk WHERE backend_id = $1
   UNION ALL
   SELECT 'SNAPSHOT', s.id, d.installation_id, d.tenant_id, d.project_id
   FROM snapshot s JOIN disk d ON d.backend_id = s.backend_id AND d.id = s.disk_id WHERE s.backend_id = $1
   UNION ALL
   SELECT kind, id, installation_id, tenant_id, project_id FROM network_part WHERE backend_id = $1
   ORDER BY 1, 2`,
);

export const listNetworkParts = statement<NetworkPartDetail, [backendId: string, tenantId: string]>(
  'simulated_world.network_parts',
  `SELECT kind, id, tenant_id AS "tenantId", revision::float8 AS revision, specification
   FROM network_part WHERE backend_id = $1 AND tenant_id = $2 ORDER BY id`,
);

export const getMachineDetail = statement<MachineDetail, [backendId: string, machineId: string]>(
  'simulated_world.get_machine',
  `SELECT id AS "machineId", hostname, host_name AS "hostName", image_reference AS "imageReference", cpu,
     memory_mib AS "memoryMib", power, boot_count AS "bootCount", port_ids AS "portIds", disk_ids AS "diskIds",
     user_data AS "userData"
   FROM machine WHERE backend_id = $1 AND id = $2`,
);

export const readHostUsage = statement<HostUsage, [backendId: string]>(
  'simulated_world.host_usage',
  `SELECT h.name AS "hostName", h.rack, h.state, h.cpu, h.memory_mib AS "memoryMib", count(m.id)::int AS machines,
     coalesce(sum(m.cpu), 0)::int AS "cpuUsed", coalesce(sum(m.memory_mib), 0)::int AS "memoryUsedMib"
   FROM host h LEFT JOIN machine m ON m.backend_id = h.backend_id AND m.host_name = h.name
   WHERE h.backend_id = $1 GROUP BY h.backend_id, h.name ORDER BY h.name`,
);

export const resetWorld = statement<never, [backendId: string]>('simulated_world.reset', `SELECT world_reset($1)`);
