import { OvsdbClient, Transaction, type Monitor } from '#ovsdb';
import type { Southbound } from '../schema/southbound.js';

/** What a chassis writes of itself, beside what the driver reads. */
interface HostTables {
  SB_Global: Southbound['SB_Global'];
  Encap: { type: string; ip: string; chassis_name: string };
  Chassis: Southbound['Chassis'] & { encaps: ReadonlySet<string> };
  Chassis_Private: Southbound['Chassis_Private'] & { chassis: string | null };
  Port_Binding: Southbound['Port_Binding'];
}

let count = 0;

/** A host as the southbound database sees one: it takes over every number that northd gives, for as long as it lives. */
export class TestHost implements AsyncDisposable {
  #lives = true;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly name: string,
    private readonly client: OvsdbClient<HostTables>,
    private readonly monitor: Monitor<HostTables>,
  ) {
    monitor.on('changes', () => this.#catchUp());
  }

  /** @param endpoint of the southbound database. @param hostname where it is not the chassis's name */
  static async start(endpoint: string, name: string, hostname = name): Promise<TestHost> {
    const client = new OvsdbClient<HostTables>({ database: 'OVN_Southbound', endpoints: [endpoint] });
    count += 1;
    const transaction = new Transaction<HostTables>();
    const encap = transaction.insert('Encap', { type: 'geneve', ip: `10.98.0.${count}`, chassis_name: name });
    const chassis = transaction.insert('Chassis', { name, hostname, encaps: [encap] });
    transaction.insert('Chassis_Private', { name, chassis });
    await client.transact(transaction);
    const host = new TestHost(name, client, await client.monitor({ SB_Global: { columns: ['nb_cfg'] } }));
    host.#catchUp();
    await host.#writing;
    return host;
  }

  kill(): void {
    this.#lives = false;
  }

  revive(): void {
    this.#lives = true;
    this.#catchUp();
  }

  /** As when a machine with that port starts here. */
  async bind(portId: string): Promise<void> {
    const transaction = new Transaction<HostTables>();
    const reading = transaction.select('Chassis', [['name', '==', this.name]], ['name']);
    const [row] = (await this.client.transact(transaction)).of(reading);
    const binding = new Transaction<HostTables>();
    binding.update('Port_Binding', [['logical_port', '==', portId]], { chassis: row?._uuid ?? null });
    await this.client.transact(binding);
  }

  #catchUp(): void {
    const [global] = this.monitor.rows('SB_Global').values();
    if (!this.#lives || global === undefined) return;
    const transaction = new Transaction<HostTables>();
    transaction.update('Chassis_Private', [['name', '==', this.name]], { nb_cfg: global.nb_cfg });
    this.#writing = this.client.transact(transaction).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lives = false;
    await this.client.close();
  }
}
