import { access } from 'node:fs/promises';
import { MANAGEMENT, NORTHBOUND_PORT, SOUTHBOUND_PORT, type ControllerLayout } from '../layout.js';
import { plugIn } from './cables.js';
import { programsOn, runs } from './daemons.js';
import { bootMachine, pathOn, runOn, type Machine } from './namespace.js';

interface Database {
  name: string;
  schema: string;
  file: string;
  socket: string;
  port: number;
  tool: string;
}

const NORTHBOUND: Database = {
  name: 'northbound',
  schema: '/usr/share/ovn/ovn-nb.ovsschema',
  file: '/var/lib/ovn/ovnnb_db.db',
  socket: '/run/ovn/ovnnb_db.sock',
  port: NORTHBOUND_PORT,
  tool: 'ovn-nbctl',
};
const SOUTHBOUND: Database = {
  name: 'southbound',
  schema: '/usr/share/ovn/ovn-sb.ovsschema',
  file: '/var/lib/ovn/ovnsb_db.db',
  socket: '/run/ovn/ovnsb_db.sock',
  port: SOUTHBOUND_PORT,
  tool: 'ovn-sbctl',
};
export const DATABASES: readonly Database[] = [NORTHBOUND, SOUTHBOUND];

/** Databases and northd of OVN on a machine of their own; starts what does not run. */
export async function raiseController(stateFolder: string, { name, managementAddress }: ControllerLayout): Promise<Machine> {
  const machine = await bootMachine(stateFolder, name);
  await plugIn(machine, [MANAGEMENT]);
  await runOn(machine, 'ip', ['address', 'replace', `${managementAddress}/24`, 'dev', MANAGEMENT.device]);
  const programs = await programsOn(machine);
  for (const { name: database, schema, file, socket, port, tool } of DATABASES) {
    if (runs(programs, 'ovsdb-server', file)) continue;
    const made = await access(pathOn(machine, file)).then(() => true, () => false);
    if (!made) await runOn(machine, 'ovsdb-tool', ['create', file, schema]);
    const own = [`--pidfile=/run/ovn/${database}.pid`, `--log-file=/var/log/ovn/${database}.log`, `--unixctl=/run/ovn/${database}.ctl`];
    const remotes = [`--remote=punix:${socket}`, `--remote=ptcp:${port}:${managementAddress}`];
    await runOn(machine, 'ovsdb-server', ['--detach', ...own, ...remotes, file]);
    await runOn(machine, tool, ['init']);
  }
  if (!runs(programs, 'ovn-northd')) await runOn(machine, 'ovn-northd', ['--detach', '--monitor', '--pidfile', '--log-file']);
  return machine;
}
