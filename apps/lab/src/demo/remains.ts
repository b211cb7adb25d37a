import { incusOf } from '../host/host.js';
import { findMachines, runOn } from '../host/namespace.js';
import { Failure } from '../failure.js';
import { CONTROLLER } from '../layout.js';
import type { StateFolder } from '../state.js';

/** By which all that is a tenant's can be found in Incus, and in OVN. */
const INCUS_KEY = 'user.muon.tenant';
const OVN_KEY = 'muon:tenant';
const OVN_TABLES = ['Logical_Switch', 'Logical_Switch_Port', 'Logical_Router', 'Logical_Router_Port', 'Load_Balancer', 'NAT', 'Port_Group', 'ACL', 'DHCP_Options', 'DNS'];

/** What Incus and OVN still hold of a tenant: instances and volumes by name, rows by table and UUID. */
export async function remainsOf(tenantId: string, folder: StateFolder): Promise<string[]> {
  const machines = (await findMachines()).filter(({ stateFolder }) => stateFolder === folder.path);
  const host = machines.find(({ name }) => name.startsWith('h'));
  const controller = machines.find(({ name }) => name === CONTROLLER.name);
  if (host === undefined || controller === undefined) throw new Failure('The lab went away.');
  const incus = incusOf(host);
  try {
    const instances = (await incus.instances.list()).filter(({ config }) => config?.[INCUS_KEY] === tenantId);
    const pools = await incus.storagePools.list();
    const volumes = (await Promise.all(pools.map(async ({ name }) => incus.storagePools.volumes(name)))).flat().filter(({ config }) => config[INCUS_KEY] === tenantId);
    const rows = await Promise.all(
      OVN_TABLES.map(async (table) => {
        const found = await runOn(controller, 'ovn-nbctl', ['--bare', '--columns=_uuid', 'find', table, `external_ids:${OVN_KEY.replace(':', '\\:')}=${tenantId}`]);
        return found.split('\n').flatMap((uuid) => (uuid.trim() === '' ? [] : [`${table} ${uuid.trim()}`]));
      }),
    );
    return [...instances.map(({ name }) => name), ...volumes.map(({ name }) => name), ...rows.flat()];
  } finally {
    incus.close();
  }
}
