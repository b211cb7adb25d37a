import { sleep, type Logger } from '#core';
import { isHostDevice } from '#drivers';
import { Transaction, type Monitor, type OvsdbClient } from '#ovsdb';
import { mustLookAgain } from '../errors.js';
import type { OpenVswitch } from '../schema/open-vswitch.js';

/** ovn-controller(8): the logical port that is behind an interface. */
const PORT_KEY = 'iface-id';
const CALL_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
/** A device that has just been made may be unknown to the switch for a moment. */
const SWEEP_EVERY_MS = 2_000;

/** Which port the device of this name belongs to; undefined for devices of others. */
export type PortOfDevice = (device: string) => string | undefined;

/** The switch of one host, whose devices get the ports that they belong to. */
export class HostSwitch {
  /** Interfaces whose device was gone at the last sweep. */
  #broken: ReadonlySet<string> = new Set();
  #monitor: Monitor<OpenVswitch> | undefined;
  /** The pass that is under way, and the one after it. */
  #binding: Promise<unknown> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(
    private readonly host: string,
    private readonly client: OvsdbClient<OpenVswitch>,
    private readonly portOf: PortOfDevice,
    private readonly log: Logger | undefined,
  ) {}

  /** Follows the switch until the signal aborts, however often the host goes away and returns. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const monitor = await this.client.monitor(
          { Interface: { columns: ['name', 'external_ids', 'error'] } },
          { timeoutMs: CALL_TIMEOUT_MS, signal, onChanges: () => this.bindSoon() },
        );
        this.#monitor = monitor;
        // What was missed while there was no connection.
        monitor.on('current', () => this.bindSoon());
        monitor.on('stale', () => (this.#broken = new Set()));
        this.bindSoon();
        await this.sweepUntil(monitor, signal);
      } catch (error) {
        if (!signal.aborted) this.log?.debug({ err: error, host: this.host }, 'the switch of a host cannot be followed');
        await sleep(RETRY_MS, signal);
      }
    }
    await this.#binding;
  }

  /** The monitor outlives connections: what a sweep cannot do while the host is away, a later one does. */
  private async sweepUntil(monitor: Monitor<OpenVswitch>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(SWEEP_EVERY_MS, signal);
      try {
        await this.sweep(monitor, signal);
      } catch (error) {
        if (!signal.aborted) this.log?.debug({ err: error, host: this.host }, 'the switch of a host could not be swept');
      }
    }
  }

  /** Looks at all devices, after the pass that is under way. */
  bindSoon(): void {
    this.#next ??= this.#binding.then(async () => {
      this.#next = undefined;
      await this.bind();
    });
    this.#binding = this.#next;
  }

  /** One transaction for all devices that are not bound yet; tried again at the next change, and at the next sweep. */
  private async bind(): Promise<void> {
    const transaction = new Transaction<OpenVswitch>();
    const bound: string[] = [];
    for (const { _uuid: uuid, name, external_ids: ids } of this.#monitor?.rows('Interface').values() ?? []) {
      const port = isHostDevice(name) ? this.portOf(name) : undefined;
      if (port === undefined || ids.get(PORT_KEY) === port) continue;
      transaction.mutate(
        'Interface',
        [['_uuid', '==', uuid]],
        [
          ['external_ids', 'delete', [PORT_KEY]],
          ['external_ids', 'insert', { [PORT_KEY]: port }],
        ],
      );
      bound.push(port);
    }
    if (bound.length === 0) return;
    try {
      await this.client.transact(transaction, { timeoutMs: CALL_TIMEOUT_MS });
      this.log?.debug({ host: this.host, ports: bound }, 'ports are bound');
    } catch (error) {
      this.log?.warn({ err: error, host: this.host }, 'ports could not be bound; they are tried again');
    }
  }

  /**
   * An entry that outlives its device stays deaf when a device of that name comes back, although all looks well: it is
   * taken away, in a transaction of its own, and Incus adds it again with the device.
   */
  private async sweep(monitor: Monitor<OpenVswitch>, signal: AbortSignal): Promise<void> {
    // What the switch said before it was lost may be long over.
    if (!monitor.isCurrent) {
      this.#broken = new Set();
      return;
    }
    const broken = [...monitor.rows('Interface').values()].filter(
      ({ name, error }) => error !== null && isHostDevice(name) && this.portOf(name) !== undefined,
    );
    const gone = broken.filter(({ _uuid: uuid }) => this.#broken.has(uuid));
    this.#broken = new Set(broken.map(({ _uuid: uuid }) => uuid));
    for (const { _uuid: uuid, name, error } of gone) {
      if (!(await this.remove(uuid, error, signal))) continue;
      this.log?.info({ host: this.host, device: name }, 'the switch knew a device that is no more; it was taken away');
    }
    this.bindSoon();
  }

  /** @returns false when it is not there any more, or well again: the connection may have come late */
  private async remove(interfaceUuid: string, error: string | null, signal: AbortSignal): Promise<boolean> {
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
    const reading = new Transaction<OpenVswitch>();
    const ports = reading.select('Port', [['interfaces', 'includes', [interfaceUuid]]], ['name']);
    const [port] = (await this.client.transact(reading, options)).of(ports);
    if (port === undefined) return false;
    const removing = new Transaction<OpenVswitch>();
    removing.wait('Interface', [['_uuid', '==', interfaceUuid]], '==', [{ error }], { columns: ['error'] });
    removing.mutate('Bridge', [['ports', 'includes', [port._uuid]]], [['ports', 'delete', [port._uuid]]]);
    try {
      await this.client.transact(removing, options);
    } catch (refusal) {
      if (mustLookAgain(refusal)) return false;
      throw refusal;
    }
    return true;
  }
}
