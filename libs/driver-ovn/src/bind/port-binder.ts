import { aborted, allInOrder, type Logger } from '#core';
import { hostDeviceOf } from '#drivers';
import type { Change, Monitor, OvsdbClient } from '#ovsdb';
import { openDatabase } from '../backend.js';
import { Mark } from '../marks.js';
import type { OvnNetworkSettings } from '../options.js';
import type { Northbound } from '../schema/northbound.js';
import type { OpenVswitch } from '../schema/open-vswitch.js';
import { HostSwitch } from './host-switch.js';

/**
 * Binds the devices of machines to their ports on all hosts that `switches` names: the compute driver plugs a device in
 * under the name that the port's id gives it, and here the host's switch is told which port that is. It writes what is
 * missing and nothing else, so a second one at the same time does no harm.
 */
export class PortBinder {
  readonly #ports = new Map<string, string>();

  constructor(
    private readonly settings: OvnNetworkSettings,
    /** Shows the marks of all ports. */
    private readonly parts: Monitor<Northbound>,
    private readonly log: Logger | undefined,
  ) {}

  /** Until the signal aborts. @throws INVALID_INPUT naming the switch whose endpoint makes no sense */
  async run(signal: AbortSignal): Promise<void> {
    const clients: OvsdbClient<OpenVswitch>[] = [];
    try {
      const switches = Object.entries(this.settings.switches).map(([host, endpoint]) => {
        const { settings, log } = this;
        const client = openDatabase<OpenVswitch>({ database: 'Open_vSwitch', endpoints: [endpoint], field: `switches.${host}`, settings, log });
        clients.push(client);
        return new HostSwitch(host, client, (device) => this.#ports.get(device), log);
      });
      const follow = (changes: readonly Change<Northbound>[]): void => {
        if (this.#learn(changes)) for (const each of switches) each.bindSoon();
      };
      this.parts.on('changes', follow);
      try {
        for (const row of this.parts.rows('Logical_Switch_Port').values()) this.#know(row.external_ids);
        await Promise.all([aborted(signal), ...switches.map(async (each) => each.follow(signal))]);
      } finally {
        this.parts.off('changes', follow);
        this.#ports.clear();
      }
    } finally {
      await allInOrder(clients.map(async (client) => client.close()));
    }
  }

  /** @returns whether there is a port that was unknown: its device may be there already */
  #learn(changes: readonly Change<Northbound>[]): boolean {
    let isNew = false;
    for (const change of changes) {
      if (change.table !== 'Logical_Switch_Port') continue;
      const marks = change.row.external_ids;
      if (change.kind === 'delete') this.#ports.delete(hostDeviceOf(marks.get(Mark.ID) ?? ''));
      else isNew = this.#know(marks) || isNew;
    }
    return isNew;
  }

  #know(marks: ReadonlyMap<string, string>): boolean {
    const id = marks.get(Mark.ID);
    // Another installation binds its own.
    if (id === undefined || marks.get(Mark.INSTALLATION) !== this.settings.installationId) return false;
    const device = hostDeviceOf(id);
    if (this.#ports.get(device) === id) return false;
    this.#ports.set(device, id);
    return true;
  }
}
