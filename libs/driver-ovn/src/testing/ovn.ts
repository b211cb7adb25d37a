import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { OvsdbClient, Transaction } from '#ovsdb';
import { ovsdbIsMissing, run, startServer, type TestServer } from '#ovsdb/testing';
import { carries } from '../marks.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';

const SCHEMAS = '/usr/share/ovn';

/** The specs that need the programs are skipped, and shown as skipped, where they are missing; CI makes sure they are there. */
export const ovnIsMissing =
  ovsdbIsMissing || spawnSync('ovn-northd', ['--version']).status !== 0 || !['nb', 'sb'].every((name) => existsSync(`${SCHEMAS}/ovn-${name}.ovsschema`));

/** What the driver reads, and what northd makes of health checks. */
interface SouthboundTables extends Southbound {
  Service_Monitor: { logical_port: string; ip: string; port: number; src_ip: string };
}

/** Both databases and a real northd between them, without root and without hosts. */
export class TestOvn implements AsyncDisposable {
  private constructor(
    readonly northbound: TestServer,
    readonly southbound: TestServer,
    /** For looking at what the driver has written, and for writing behind its back. */
    readonly nb: OvsdbClient<Northbound>,
    readonly sb: OvsdbClient<SouthboundTables>,
    private northd: ChildProcess,
  ) {}

  /** @param more options of ovsdb-server(1), for each of the databases */
  static async start(more: { northbound?: readonly string[]; southbound?: readonly string[] } = {}): Promise<TestOvn> {
    const [northbound, southbound] = await Promise.all([startDatabase('nb', more.northbound), startDatabase('sb', more.southbound)]);
    const nb = new OvsdbClient<Northbound>({ database: 'OVN_Northbound', endpoints: [northbound.unix] });
    const sb = new OvsdbClient<SouthboundTables>({ database: 'OVN_Southbound', endpoints: [southbound.unix] });
    const ovn = new TestOvn(northbound, southbound, nb, sb, launchNorthd(northbound, southbound));
    const global = await sb.monitor({ SB_Global: { columns: ['nb_cfg'] } });
    await global.until((monitor) => (monitor.rows('SB_Global').size > 0 ? true : undefined));
    await global.close();
    return ovn;
  }

  /** What becomes of a packet (ovn-trace(8)), in one line for each thing that is done with it. */
  trace(microflow: string, ...options: string[]): string {
    return run('ovn-trace', `--db=${this.southbound.unix}`, '--minimal', ...options, microflow);
  }

  /** The same with every step on the way. */
  detail(microflow: string): string {
    return run('ovn-trace', `--db=${this.southbound.unix}`, microflow);
  }

  /** Does the installed schema of the northbound database have that column? */
  schemaHas(table: string, column: string): boolean {
    const schema = JSON.parse(readFileSync(`${SCHEMAS}/ovn-nb.ovsschema`, 'utf8')) as { tables: Record<string, { columns: object }> };
    return column in (schema.tables[table]?.columns ?? {});
  }

  /** Every row with that mark, as `table name`. */
  async rowsOf(networkId: string): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const where = [carries({ NETWORK: networkId })];
    const selects = [
      ['router', reading.select('Logical_Router', where, ['name'])],
      ['router port', reading.select('Logical_Router_Port', where, ['name'])],
      ['switch', reading.select('Logical_Switch', where, ['name'])],
      ['switch port', reading.select('Logical_Switch_Port', where, ['name'])],
      ['load balancer', reading.select('Load_Balancer', where, ['name'])],
    ] as const;
    const checks = reading.select('Load_Balancer_Health_Check', where, ['vip']);
    const dhcp = reading.select('DHCP_Options', where, ['cidr']);
    const dns = reading.select('DNS', where, ['records']);
    const found = await this.nb.transact(reading);
    return [
      ...selects.flatMap(([noun, select]) => found.of(select).map(({ name }) => `${noun} ${name}`)),
      ...found.of(checks).map(({ vip }) => `health check ${vip}`),
      ...found.of(dhcp).map(({ cidr }) => `dhcp ${cidr}`),
      ...found.of(dns).map(({ records }) => `dns ${[...records.keys()].sort().join(' ')}`),
    ].sort();
  }

  /** Behind the driver's back. */
  async write(build: (transaction: Transaction<Northbound>) => void): Promise<void> {
    const transaction = new Transaction<Northbound>();
    build(transaction);
    await this.nb.transact(transaction);
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

async function startDatabase(name: 'nb' | 'sb', options: readonly string[] = []): Promise<TestServer> {
  return startServer({ options, create: async (path) => void run('ovsdb-tool', 'create', path, `${SCHEMAS}/ovn-${name}.ovsschema`) });
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
