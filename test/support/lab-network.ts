import { isHostDevice } from '#drivers';
import { OvsdbClient, Transaction, type Operation, type Row } from '#ovsdb';
import { CONTROLLER, NORTHBOUND_PORT, OVSDB_PORT, type HostLayout } from '../../apps/lab/src/layout.js';

type Marks = ReadonlyMap<string, string>;

/** Of the northbound database, beside tables that are only known by their marks. */
type Tables = Record<string, { external_ids: Marks }>;
interface Switch {
  Interface: { name: string; external_ids: Marks };
}

/** A row of OVN that says what it is and whose. */
export interface MarkedRow {
  table: string;
  uuid: string;
  marks: Marks;
  columns: Record<string, unknown>;
}

export interface BoundDevice {
  host: string;
  device: string;
  /** The port that it is bound to; undefined when nobody has said. */
  portId: string | undefined;
}

/** OVN and the hosts' switches, as anybody can read them. */
export class LabNetwork {
  private readonly northbound = new OvsdbClient<Tables>({ database: 'OVN_Northbound', endpoints: [`tcp:${CONTROLLER.managementAddress}:${NORTHBOUND_PORT}`] });
  private readonly switches: ReadonlyMap<string, OvsdbClient<Switch>>;

  constructor(hosts: readonly HostLayout[]) {
    this.switches = new Map(
      hosts.map(({ name, managementAddress }) => [name, new OvsdbClient<Switch>({ database: 'Open_vSwitch', endpoints: [`tcp:${managementAddress}:${OVSDB_PORT}`] })]),
    );
  }

  /** Rows of all tables that carry these marks. */
  async marked(marks: Record<string, string>): Promise<MarkedRow[]> {
    const { tables } = await this.northbound.schema();
    const reading = new Transaction<Tables>();
    const selects = new Map<string, Operation<Row<Tables[string]>[]>>();
    for (const [table, { columns }] of tables) {
      if (!columns.has('external_ids')) continue;
      selects.set(table, reading.select(table, [['external_ids', 'includes', new Map(Object.entries(marks))]]));
    }
    const outcome = await this.northbound.transact(reading);
    return [...selects].flatMap(([table, select]) =>
      outcome.of(select).map((columns) => ({ table, uuid: columns._uuid, marks: columns.external_ids, columns })),
    );
  }

  /** Removes the rows that carry these marks, of all tables at once: what they hold of each other does not keep them. */
  async remove(marks: Record<string, string>): Promise<void> {
    const { tables } = await this.northbound.schema();
    const removing = new Transaction<Tables>();
    for (const [table, { columns }] of tables) {
      if (columns.has('external_ids')) removing.delete(table, [['external_ids', 'includes', new Map(Object.entries(marks))]]);
    }
    await this.northbound.transact(removing);
  }

  /** UUIDs of translations of these routers that are not among the rows. */
  async unmarkedTranslations(rows: readonly MarkedRow[]): Promise<string[]> {
    const known = new Set(rows.map(({ uuid }) => uuid));
    const routers = rows.filter(({ table }) => table === 'Logical_Router');
    return routers.flatMap(({ columns }) => [...(columns['nat'] as ReadonlySet<string>)]).filter((uuid) => !known.has(uuid));
  }

  /** The devices of machines on the switches of all hosts. */
  async devices(): Promise<BoundDevice[]> {
    const found = await Promise.all(
      [...this.switches].map(async ([host, client]) => {
        const reading = new Transaction<Switch>();
        const select = reading.select('Interface', [], ['name', 'external_ids']);
        const interfaces = (await client.transact(reading)).of(select);
        return interfaces.map(({ name, external_ids: ids }) => ({ host, device: name, portId: ids.get('iface-id') }));
      }),
    );
    return found.flat().filter(({ device }) => isHostDevice(device));
  }

  async close(): Promise<void> {
    await Promise.all([this.northbound, ...this.switches.values()].map((client) => client.close()));
  }
}
