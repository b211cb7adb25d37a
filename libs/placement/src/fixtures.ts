import { insertRows, type Database } from '#database';
import { backendId, datastoreId, hostId, rackId, zoneId } from '#infrastructure';

/** A datacenter for specs: zones of racks of hosts, all alike. */
export interface DatacenterShape {
  zones: number;
  racksPerZone: number;
  hostsPerRack: number;
  cpu: number;
  memoryMib: number;
  cpuOvercommit?: number;
  /** GiB of one local datastore on each host, of kind `local`; none when absent. */
  localGib?: number;
  /** GiB of one datastore that all hosts share, of kind `shared`. */
  sharedGib?: number;
}

export interface Datacenter {
  backendId: string;
  zoneIds: string[];
  rackIds: string[];
  hosts: { id: string; name: string; zoneId: string; rackId: string }[];
  sharedDatastoreId: string | undefined;
}

export async function makeDatacenter(database: Database, shape: DatacenterShape): Promise<Datacenter> {
  const unique = backendId.create();
  const center: Datacenter = { backendId: unique, zoneIds: [], rackIds: [], hosts: [], sharedDatastoreId: undefined };
  const label = unique.slice(-8);
  const racks: Record<string, unknown>[] = [];
  const hosts: Record<string, unknown>[] = [];
  for (let zone = 0; zone < shape.zones; zone += 1) {
    const inZone = zoneId.create();
    center.zoneIds.push(inZone);
    for (let rack = 0; rack < shape.racksPerZone; rack += 1) {
      const inRack = rackId.create();
      center.rackIds.push(inRack);
      racks.push({ id: inRack, zone_id: inZone, name: `r${rack}` });
      for (let host = 0; host < shape.hostsPerRack; host += 1) {
        const made = { id: hostId.create(), name: `h-${zone}-${rack}-${host}`, zoneId: inZone, rackId: inRack };
        center.hosts.push(made);
        hosts.push({
          id: made.id,
          backend_id: unique,
          zone_id: inZone,
          rack_id: inRack,
          name: made.name,
          cpu: shape.cpu,
          memory_mib: shape.memoryMib,
          cpu_overcommit: shape.cpuOvercommit ?? 1,
          health: 'UP',
          traits: [],
          labels: [],
        });
      }
    }
  }
  const local = center.hosts.map((host) => ({ host_id: host.id, zone_id: host.zoneId, name: 'local', kind: 'local', capacity_gib: shape.localGib }));
  if (shape.sharedGib !== undefined) center.sharedDatastoreId = datastoreId.create();
  await database.transaction(async (transaction) => {
    await insertRows(transaction, 'backend', [{ id: unique, name: `b-${label}`, kind: 'simulated', endpoint: 'none' }]);
    await insertRows(transaction, 'zone', center.zoneIds.map((id, index) => ({ id, name: `z${index}-${label}` })));
    await insertRows(transaction, 'rack', racks);
    await insertRows(transaction, 'host', hosts);
    const add = async (rows: Record<string, unknown>[]): Promise<void> =>
      insertRows(transaction, 'datastore', rows.map((row) => ({ id: datastoreId.create(), backend_id: unique, ...row })));
    if (shape.localGib !== undefined) await add(local);
    if (shape.sharedGib !== undefined) {
      await add([{ id: center.sharedDatastoreId, name: 'shared', kind: 'shared', capacity_gib: shape.sharedGib }]);
    }
  });
  return center;
}
