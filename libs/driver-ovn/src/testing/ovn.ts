import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { OvsdbClient } from '#ovsdb';
import { ovsdbIsMissing, run, startServer, type TestServer } from '#ovsdb/testing';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';

const SCHEMAS = '/usr/share/ovn';

/** The specs that need the programs are skipped, and shown as skipped, where they are missing; CI makes sure they are there. */
export const ovnIsMissing =
  ovsdbIsMissing || spawnSync('ovn-northd', ['--version']).status !== 0 || !['nb', 'sb'].every((name) => existsSync(`${SCHEMAS}/ovn-${name}.ovsschema`));

/** Both databases and a real northd between them, without root and without hosts. */
export class TestOvn implements AsyncDisposable {
  private constructor(
    readonly northbound: TestServer,
    readonly southbound: TestServer,
    /** For looking at what the driver has written, and for writing behind its back. */
    readonly nb: OvsdbClient<Northbound>,
    readonly sb: OvsdbClient<Southbound>,
    private northd: ChildProcess,
  ) {}

  static async start(): Promise<TestOvn> {
    const [northbound, southbound] = await Promise.all([startDatabase('nb'), startDatabase('sb')]);
    const nb = new OvsdbClient<Northbound>({ database: 'OVN_Northbound', endpoints: [northbound.unix] });
    const sb = new OvsdbClient<Southbound>({ database: 'OVN_Southbound', endpoints: [southbound.unix] });
    const ovn = new TestOvn(northbound, southbound, nb, sb, launchNorthd(northbound, southbound));
    const global = await sb.monitor({ SB_Global: { columns: ['nb_cfg'] } });
    await global.until((monitor) => (monitor.rows('SB_Global').size > 0 ? true : undefined));
    await global.close();
    return ovn;
  }

  async stopNorthd(): Promise<void> {
    await end(this.northd);
  }

  startNorthd(): void {
    this.northd = launchNorthd(this.northbound, this.southbound);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.northd);
    await Promise.all([this.nb.close(), this.sb.close()]);
    await Promise.all([this.northbound.remove(), this.southbound.remove()]);
  }
}

async function startDatabase(name: 'nb' | 'sb'): Promise<TestServer> {
  return startServer({ create: async (path) => void run('ovsdb-tool', 'create', path, `${SCHEMAS}/ovn-${name}.ovsschema`) });
}

function launchNorthd(northbound: TestServer, southbound: TestServer): ChildProcess {
  const { folder } = northbound;
  const parameters = [`--ovnnb-db=${northbound.unix}`, `--ovnsb-db=${southbound.unix}`, `--unixctl=${folder}/northd`];
  return spawn('ovn-northd', parameters, { env: { ...process.env, OVN_RUNDIR: folder, OVS_RUNDIR: folder }, stdio: 'ignore' });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
