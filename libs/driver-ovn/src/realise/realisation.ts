import { notFound, sleep } from '#core';
import { done, pending, type Outcome } from '#drivers';
import { TimeoutError, Transaction, type Monitor } from '#ovsdb';
import type { CallTime, OvnBackend } from '../backend.js';
import { carries, Mark, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { Barrier, translated } from './barrier.js';
import { Bindings } from './bindings.js';
import { ChassisWatch } from './chassis-watch.js';
import { DrawnNumbers, type DrawnNumber } from './drawn-numbers.js';

/** A call waits at most so long, and leaves a part of its time for the answer; then the caller is to ask again: meanwhile others have its place. */
const LONGEST_WAIT_MS = 2_000;
const SHARE_OF_CALL = 0.8;
/** The longer it has taken already, the later it is asked again. */
const SHORTEST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;

type GatewayRow = Pick<Northbound['HA_Chassis'], 'chassis_name' | 'external_ids'>;
type PortMarks = ReturnType<typeof carries>;

/** What hosts shall have. */
interface Realised {
  /** The marks of ports that may meet it: hosts with a port that carries one of these are asked. */
  ports: readonly PortMarks[];
  /** Hosts that may carry a router's uplink. */
  gateways: readonly string[];
}

/** Tells when the hosts that carry a part have all that was written of it. */
export class Realisation {
  readonly #numbers: DrawnNumbers;
  readonly #chassis: ChassisWatch;
  readonly #bindings: Bindings;

  constructor(
    private readonly backend: OvnBackend,
    /** Shows the marks of all ports, and what leads routers outside. */
    private readonly replica: Monitor<Northbound>,
    private readonly southbound: Monitor<Southbound>,
  ) {
    const barrier = new Barrier(backend, southbound);
    this.#numbers = new DrawnNumbers(async () => barrier.draw());
    replica.on('current', () => this.#numbers.clear());
    this.#chassis = new ChassisWatch(southbound, backend.settings.hostDeadAfterMs);
    this.#bindings = new Bindings(southbound);
  }

  /**
   * @param key of the call: its repeats are about what was written before the first
   * @param partId of a network, a router, a provider's router, a security group or the firewall
   */
  async realised(time: CallTime, key: string, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>> {
    const endsAt = performance.now() + Math.min(LONGEST_WAIT_MS, time.leftMs * SHARE_OF_CALL);
    const part = await this.#requirePart(time, partId);
    const drawn = this.#numbers.of(key);
    const number = await before(endsAt, drawn.number);
    const southbound = this.southbound;
    const isTranslated = (): boolean => number !== undefined && southbound.isCurrent && translated(southbound) >= number;
    if (number === undefined || !(await this.#until(isTranslated, endsAt, time))) return notYet(drawn);
    const pendingHostNames = await this.#hostsWithout(number, this.#carriers(part), endsAt, time);
    return pendingHostNames === undefined ? notYet(drawn) : done({ pendingHostNames });
  }

  /** @returns those that are dead, once all others have it; undefined when that has not come to be so before that time */
  async #hostsWithout(number: number, hosts: readonly string[], endsAt: number, time: CallTime): Promise<string[] | undefined> {
    const { southbound } = this;
    for (;;) {
      const standings = hosts.map((host) => ({ host, standing: this.#chassis.standing(host, number) }));
      const deadlines = standings.flatMap(({ standing }) => (standing.state === 'BEHIND' ? [standing.deadInMs] : []));
      const { isCurrent } = southbound;
      if (isCurrent && deadlines.length === 0) {
        return standings.filter(({ standing }) => standing.state === 'DEAD').map(({ host }) => host);
      }
      if (performance.now() >= endsAt) return undefined;
      // Somebody moves, or can be seen again; at the latest when the first is to be given up.
      const moved = (): boolean =>
        southbound.isCurrent !== isCurrent ||
        standings.some(({ host, standing }) => this.#chassis.standing(host, number).state !== standing.state);
      await this.#until(moved, Math.min(endsAt, performance.now() + Math.min(...deadlines, LONGEST_WAIT_MS)), time);
    }
  }

  /** @throws NOT_FOUND */
  async #requirePart(time: CallTime, id: string): Promise<Realised> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', id)]], ['external_ids']);
    const links = reading.select('Logical_Router_Port', [carries({ KIND: 'ROUTER_LINK', ROUTER: id })], ['external_ids']);
    const gateways = reading.select('Gateway_Chassis', [carries({ ROUTER: id })], ['chassis_name', 'external_ids']);
    const chassis = reading.select('HA_Chassis', [carries({ ID: id })], ['chassis_name', 'external_ids']);
    const groups = reading.select('Port_Group', [['_uuid', '==', rowUuid('Port_Group', id)]], ['external_ids']);
    const found = await this.backend.read(time, reading);
    const [group] = found.of(groups);
    if (group !== undefined) return { ports: [portsUnder(group.external_ids)], gateways: [] };
    const [router] = found.of(routers);
    if (router === undefined) throw notFound('network', id);
    const isRouter = router.external_ids.get(Mark.KIND) === 'ROUTER';
    const networkIds = isRouter ? found.of(links).map(({ external_ids: marks }) => marks.get(Mark.NETWORK) ?? '') : [id];
    return {
      ports: [...new Set(networkIds)].map((networkId) => carries({ KIND: 'PORT', NETWORK: networkId })),
      gateways: [...found.of(gateways), ...found.of(chassis), ...(await this.#gatewaysBehind(time, router.external_ids))].map((row) => this.#hostOf(row)),
    };
  }

  /** Those of the provider's router that the router's uplink leads to. */
  async #gatewaysBehind(time: CallTime, marks: ExternalIds): Promise<GatewayRow[]> {
    const providerRouterId = marks.get(Mark.PROVIDER_ROUTER) ?? '';
    if (providerRouterId === '') return [];
    const reading = new Transaction<Northbound>();
    const chassis = reading.select('HA_Chassis', [carries({ ID: providerRouterId })], ['chassis_name', 'external_ids']);
    return (await this.backend.read(time, reading)).of(chassis);
  }

  /** As its host was called when the row was written; an older Muon has not kept that. */
  #hostOf({ chassis_name: name, external_ids: marks }: GatewayRow): string {
    return marks.get(Mark.HOST) ?? this.#chassis.hostOf(name);
  }

  /**
   * Hosts that shall have one of these ports, those that have bound one, and gateways. The number was drawn over the replica's
   * own connection, so the replica has all that was written before; what northd has bound by then came with its number.
   */
  #carriers({ ports, gateways }: Realised): string[] {
    const reading = new Transaction<Northbound>();
    const marked = ports.map((marks) => reading.select('Logical_Switch_Port', [marks]));
    const outcome = this.replica.answer(reading);
    const hosts = new Set(gateways);
    for (const { name, external_ids: marks } of marked.flatMap((each) => outcome.of(each))) {
      const wanted = marks.get(Mark.HOST);
      if (wanted !== undefined) hosts.add(wanted);
      const chassis = this.#bindings.chassisOf(name);
      const bound = chassis === undefined ? undefined : this.#chassis.namesOf(chassis);
      // By whichever name the port calls it.
      if (bound !== undefined && !bound.some((each) => each === wanted)) hosts.add(bound[0]);
    }
    return [...hosts].sort();
  }

  /** @returns whether it came to be so before that time */
  async #until(isSo: () => boolean, endsAt: number, time: CallTime): Promise<boolean> {
    const timeoutMs = Math.max(1, Math.ceil(endsAt - performance.now()));
    try {
      return await this.southbound.until(() => (isSo() ? true : undefined), { ...time.options(), timeoutMs });
    } catch (error) {
      if (error instanceof TimeoutError) return false;
      throw error;
    }
  }
}

/** The ports that a security group or firewall may meet: those of a group are looked for in its project, members or not. */
function portsUnder(marks: ExternalIds): PortMarks {
  const ports = { KIND: 'PORT', INSTALLATION: marks.get(Mark.INSTALLATION) ?? '' };
  const projectId = marks.get(Mark.PROJECT);
  return carries(projectId === undefined ? ports : { ...ports, PROJECT: projectId });
}

function notYet({ since }: DrawnNumber): Outcome<never> {
  const takenMs = performance.now() - since;
  return pending(Math.round(Math.min(Math.max(takenMs / 2, SHORTEST_RETRY_MS), LONGEST_RETRY_MS)));
}

/** What the promise brings before that time, else undefined. */
async function before<Value>(endsAt: number, promise: Promise<Value>): Promise<Value | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([promise, sleep(Math.max(0, endsAt - performance.now()), over.signal).then(() => undefined)]);
  } finally {
    over.abort();
  }
}
