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
    private readonly hostname: string,
    private mappings: string,
    private readonly client: OvsdbClient<HostTables>,
    private readonly monitor: Monitor<HostTables>,
  ) {
    monitor.on('changes', () => this.#catchUp());
  }

  /**
   * @param endpoint of the southbound database
   * @param hostname where it is not the chassis's name
   * @param mappings of physical networks to bridges
   */
  static async start(endpoint: string, name: string, hostname = name, mappings = 'physnet1:br-ex'): Promise<TestHost> {
    const client = new OvsdbClient<HostTables>({ database: 'OVN_Southbound', endpoints: [endpoint] });
    const host = new TestHost(name, hostname, mappings, client, await client.monitor({ SB_Global: { columns: ['nb_cfg'] } }));
    await host.join();
    return host;
  }

  /** As when its agent starts. */
  async join(): Promise<void> {
    const { name, hostname } = this;
    count += 1;
    const transaction = new Transaction<HostTables>();
    const encap = transaction.insert('Encap', { type: 'geneve', ip: `10.98.0.${count}`, chassis_name: name });
    const chassis = transaction.insert('Chassis', { name, hostname, encaps: [encap], other_config: this.#configuration() });
    transaction.insert('Chassis_Private', { name, chassis });
    await this.client.transact(transaction);
    this.revive();
    await this.#writing;
  }

  /** As when its agent is stopped: it takes its rows away. */
  async leave(): Promise<void> {
    this.kill();
    await this.#writing;
    const transaction = new Transaction<HostTables>();
    transaction.delete('Chassis', [['name', '==', this.name]]);
    transaction.delete('Chassis_Private', [['name', '==', this.name]]);
    await this.client.transact(transaction);
  }

  /** As when an operator gives it other bridges. */
  async map(mappings: string): Promise<void> {
    this.mappings = mappings;
    const transaction = new Transaction<HostTables>();
    transaction.update('Chassis', [['name', '==', this.name]], { other_config: this.#configuration() });
    await this.client.transact(transaction);
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

  #configuration(): ReadonlyMap<string, string> {
    return new Map([['ovn-bridge-mappings', this.mappings]]);
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
