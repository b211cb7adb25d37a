import { notFound, sleep } from '#core';
import { done, pending, type Outcome } from '#drivers';
import { TimeoutError, Transaction, type Monitor } from '#ovsdb';
import type { CallTime, OvnBackend } from '../backend.js';
import { carries, Mark } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { Barrier, translated } from './barrier.js';
import { ChassisWatch } from './chassis-watch.js';

/** A call waits at most so long, and leaves a part of its time for the answer; then the caller is to ask again. */
const LONGEST_WAIT_MS = 5_000;
const SHARE_OF_CALL = 0.8;
const RETRY_MS = 250;

/** Tells when the hosts that carry a part have all that was written of it. */
export class Realisation {
  readonly #barrier: Barrier;
  readonly #chassis: ChassisWatch;

  constructor(
    private readonly backend: OvnBackend,
    private readonly southbound: Monitor<Southbound>,
  ) {
    this.#barrier = new Barrier(backend, southbound);
    this.#chassis = new ChassisWatch(southbound, backend.settings.hostDeadAfterMs);
  }

  async realised(time: CallTime, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>> {
    const endsAt = performance.now() + Math.min(LONGEST_WAIT_MS, time.leftMs * SHARE_OF_CALL);
    const ports = await this.#portsOf(time, partId);
    const number = await before(endsAt, this.#barrier.draw());
    if (number === undefined) return pending(RETRY_MS);
    const southbound = this.southbound;
    const isTranslated = (): boolean => southbound.isCurrent && translated(southbound) >= number;
    if (!(await this.#until(isTranslated, endsAt, time))) return pending(RETRY_MS);

    const hosts = await this.#carriers(time, ports);
    for (;;) {
      const standings = hosts.map((host) => ({ host, standing: this.#chassis.standing(host, number) }));
      const deadlines = standings.flatMap(({ standing }) => (standing.state === 'BEHIND' ? [standing.deadInMs] : []));
      const { isCurrent } = southbound;
      if (isCurrent && deadlines.length === 0) {
        return done({ pendingHostNames: standings.filter(({ standing }) => standing.state === 'DEAD').map(({ host }) => host) });
      }
      if (performance.now() >= endsAt) return pending(RETRY_MS);
      // Somebody moves, or can be seen again; at the latest when the first is to be given up.
      const moved = (): boolean =>
        southbound.isCurrent !== isCurrent ||
        standings.some(({ host, standing }) => this.#chassis.standing(host, number).state !== standing.state);
      await this.#until(moved, Math.min(endsAt, performance.now() + Math.min(...deadlines, LONGEST_WAIT_MS)), time);
    }
  }

  /**
   * The marks of all ports that may meet the part: those of a group are looked for in its project, members or not.
   * @throws NOT_FOUND
   */
  async #portsOf(time: CallTime, partId: string): Promise<ReturnType<typeof carries>> {
    const reading = new Transaction<Northbound>();
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', partId)]], ['name']);
    const groups = reading.select('Port_Group', [['_uuid', '==', rowUuid('Port_Group', partId)]], ['external_ids']);
    const found = await this.backend.read(time, reading);
    if (found.of(routers).length > 0) return carries({ KIND: 'PORT', NETWORK: partId });
    const [group] = found.of(groups);
    if (group === undefined) throw notFound('network', partId);
    const of = (mark: 'INSTALLATION' | 'PROJECT'): string => group.external_ids.get(Mark[mark]) ?? '';
    const ports = { KIND: 'PORT', INSTALLATION: of('INSTALLATION') };
    return carries(group.external_ids.has(Mark.PROJECT) ? { ...ports, PROJECT: of('PROJECT') } : ports);
  }

  /** Hosts that shall have one of these ports, and those that have bound one. */
  async #carriers(time: CallTime, ports: ReturnType<typeof carries>): Promise<string[]> {
    const reading = new Transaction<Southbound>();
    const bindings = reading.select('Port_Binding', [ports], ['chassis', 'external_ids']);
    const found = (await this.backend.southbound.transact(reading, time.options())).of(bindings);
    const hosts = new Set<string>();
    for (const { chassis, external_ids: marks } of found) {
      const wanted = marks.get(Mark.HOST);
      if (wanted !== undefined) hosts.add(wanted);
      const bound = chassis === null ? undefined : this.#chassis.namesOf(chassis);
      // By whichever name the port calls it.
      if (bound !== undefined && !bound.some((name) => name === wanted)) hosts.add(bound[0]);
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

/** What the promise brings before that time, else undefined. */
async function before<Value>(endsAt: number, promise: Promise<Value>): Promise<Value | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([promise, sleep(Math.max(0, endsAt - performance.now()), over.signal).then(() => undefined)]);
  } finally {
    over.abort();
  }
}
