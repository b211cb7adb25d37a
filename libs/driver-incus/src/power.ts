import { sleep } from '#core';
import { backendRefused, DONE, pending, PowerState, type Outcome } from '#drivers';
import { IncusError, type Instance, type PowerChange } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { BUSY_RETRY_MS, isBusy, RUNNING_RETRY_MS, type Catalog, type Found } from './catalog.js';
import { machineIdOf, powerOf } from './machine.js';
import { Key } from './names.js';

/** What a guest has to end by itself, when there is so much time. */
const GRACE_SECONDS = 30;
const ATTEMPTS = 3;
/** What is not so any more when the instance is looked at says that somebody else has changed it once more, or meanwhile. */
const CONTRADICTED = /already (stopped|running|frozen)|(isn't|is not) running|^Failed stopping instance, status is|freezing the container failed/i;
/** What Incus calls a suspension that is under way. */
const FREEZE = 'Freezing instance';
/** Restarts that an instance remembers; of one that is forgotten a repeat restarts once more. */
const MAX_RESTARTS = 50;
const RESTART_MARK = /^(\d+) (.*)$/s;

/** Power of machines. What Incus says of its operations is a hint: the instance is looked at again after each. */
export class MachinePower {
  constructor(
    private readonly backend: IncusBackend,
    private readonly catalog: Catalog,
  ) {}

  async start(found: Found, budget: Budget): Promise<Outcome<void>> {
    switch (powerOf(found.value)) {
      case PowerState.RUNNING:
        return DONE;
      case PowerState.SUSPENDED:
        throw this.refused(found, 'it is resumed, and not started');
      case PowerState.UNKNOWN:
        return pending(BUSY_RETRY_MS);
      case PowerState.STOPPED:
        return this.bring(found, { action: 'start' }, PowerState.RUNNING, budget);
    }
  }

  /** @param force without asking the guest; one that is asked and does not end in the call's time is cut off all the same */
  async stop(found: Found, force: boolean, budget: Budget): Promise<Outcome<void>> {
    const power = powerOf(found.value);
    if (power === PowerState.STOPPED) return DONE;
    const cut = { action: 'stop', force: true } as const;
    // A guest that is suspended hears no question.
    if (force || power === PowerState.SUSPENDED) return this.bring(found, cut, PowerState.STOPPED, budget);
    return this.gently(found, { action: 'stop' }, cut, PowerState.STOPPED, budget);
  }

  async suspend(found: Found, budget: Budget): Promise<Outcome<void>> {
    const power = powerOf(found.value);
    if (power === PowerState.SUSPENDED) return DONE;
    if (power === PowerState.STOPPED) throw this.refused(found, 'only what runs is suspended');
    return this.bring(found, { action: 'freeze' }, PowerState.SUSPENDED, budget);
  }

  async resume(found: Found, budget: Budget): Promise<Outcome<void>> {
    const power = powerOf(found.value);
    if (power === PowerState.RUNNING) return DONE;
    if (power === PowerState.STOPPED) throw this.refused(found, 'only what is suspended is resumed');
    return this.bring(found, { action: 'unfreeze' }, PowerState.RUNNING, budget);
  }

  /**
   * The machine keeps which process the restarts of which keys are to end: where another runs, it was done, and where none
   * does, it was broken off.
   */
  async restart(found: Found, key: string, budget: Budget): Promise<Outcome<void>> {
    const { value } = found;
    const power = powerOf(value);
    const before = markOf(value);
    const isMarked = before.keys.includes(key);
    if (power === PowerState.STOPPED && isMarked) return this.bring(found, { action: 'start' }, PowerState.RUNNING, budget);
    if (power === PowerState.UNKNOWN) return pending(BUSY_RETRY_MS);
    if (power !== PowerState.RUNNING) {
      // In the midst of another restart.
      if (await this.catalog.isWorkedOn(value.name, budget)) return pending(BUSY_RETRY_MS);
      throw this.refused(found, 'only what runs is restarted');
    }
    const pid = await this.processOf(value.name, budget);
    if (pid === undefined) return pending(BUSY_RETRY_MS);
    if (isMarked && before.pid !== pid) return DONE;
    if (!isMarked) {
      const marked = await this.catalog.change(value.name, idOf(found), budget, (instance) => {
        const mark = markOf(instance);
        // What ends the process for one who asks for it ends it for all of them.
        const keys = mark.pid === pid ? mark.keys : [];
        return keys.includes(key) ? undefined : { config: { ...instance.config, [Key.RESTART]: `${pid} ${[...keys, key].slice(-MAX_RESTARTS).join('\n')}` } };
      });
      if (marked.state !== 'DONE') return marked;
    }
    const isOther = async (): Promise<boolean | undefined> => {
      const now = await this.processOf(value.name, budget);
      return now === undefined ? undefined : now !== pid;
    };
    return this.gently(found, { action: 'restart' }, { action: 'restart', force: true }, PowerState.RUNNING, budget, isOther);
  }

  /** undefined of an instance whose process begins or ends at this moment: it runs, and Incus counts what runs in process -1. */
  private async processOf(name: string, budget: Budget): Promise<number | undefined> {
    try {
      return (await this.backend.client.instances.state(name, budget.look)).pid;
    } catch (error) {
      if (!(error instanceof IncusError) || !error.message.startsWith('Invalid PID')) throw error;
      return undefined;
    }
  }

  /** Asks the guest; when it has not done it by half of the call's time, it is not asked any more. */
  private async gently(
    found: Found,
    ask: PowerChange,
    cut: PowerChange,
    wanted: PowerState,
    budget: Budget,
    isOther?: () => Promise<boolean | undefined>,
  ): Promise<Outcome<void>> {
    const timeout = Math.max(1, Math.min(GRACE_SECONDS, Math.floor(budget.leftMs / 2000)));
    try {
      return await this.bring(found, { ...ask, timeout }, wanted, budget, isOther);
    } catch (error) {
      if (!(error instanceof IncusError) || error.outcomeUnknown || budget.signal.aborted) throw error;
      return this.bring(found, cut, wanted, budget, isOther);
    }
  }

  /**
   * A failure is believed where the machine is as it was found; where it is not, somebody else is at work on it, and the
   * repeat of the call begins with what it is then. A guest that ends at once is given another chance.
   * @param isOther whether it is another process that runs now, for what ran before; undefined where that cannot be said yet
   */
  private async bring(
    found: Found,
    change: PowerChange,
    wanted: PowerState,
    budget: Budget,
    isOther: () => Promise<boolean | undefined> = async () => true,
  ): Promise<Outcome<void>> {
    const { name } = found.value;
    if (await this.wouldMeet(name, change, budget)) return pending(BUSY_RETRY_MS);
    for (let attempt = 1; ; attempt += 1) {
      let failure: IncusError | undefined;
      try {
        const running = await this.backend.client.instances.power(name, change, budget.request);
        if (!(await this.backend.settled(running, budget))) return pending(RUNNING_RETRY_MS);
      } catch (error) {
        if (isBusy(error)) return pending(BUSY_RETRY_MS);
        if (!(error instanceof IncusError) || error.outcomeUnknown || error.retryable) throw error;
        failure = error;
      }
      // "Already stopped" is an error of Incus's; whether it is so, the instance itself tells.
      const now = await this.powerNow(found, budget);
      const isSo = now === wanted && (await isOther());
      if (isSo === true) return DONE;
      const isChanged = isSo === undefined || now !== powerOf(found.value);
      if (isChanged || (failure !== undefined && (await this.catalog.isWorkedOn(name, budget)))) return pending(BUSY_RETRY_MS);
      if (failure !== undefined && !CONTRADICTED.test(failure.message)) throw failure;
      if (attempt === ATTEMPTS) throw failure ?? backendRefused(this.backend.backendId, `The machine "${idOf(found)}" was to be ${wanted}, and a moment later is ${now}.`);
      await sleep(BUSY_RETRY_MS, budget.signal);
    }
  }

  /**
   * A stop that meets a suspension waits for processes that are frozen, and Incus then neither stops nor thaws them any more: it
   * takes the machine for one that runs. Neither is begun while the other is under way.
   */
  private async wouldMeet(name: string, { action }: PowerChange, budget: Budget): Promise<boolean> {
    if (action === 'freeze') return this.catalog.isWorkedOn(name, budget);
    if (action !== 'stop' && action !== 'restart') return false;
    return (await this.catalog.underWay(name, budget)).some(({ description }) => description === FREEZE);
  }

  private async powerNow(found: Found, budget: Budget): Promise<PowerState> {
    const now = await this.catalog.instance(found.value.name, budget);
    if (now === undefined) throw this.backend.missing('machine', idOf(found));
    this.catalog.requireReachable(now, idOf(found));
    return powerOf(now.value);
  }

  private refused(found: Found, why: string): Error {
    return this.backend.invalidState(`The machine "${idOf(found)}" is ${powerOf(found.value)}: ${why}.`);
  }
}

const idOf = ({ value }: Found): string => machineIdOf(value) ?? value.name;

/** @returns the process that restarts are to end, and their keys */
function markOf({ config }: Pick<Instance, 'config'>): { pid: number; keys: string[] } {
  const [, pid, keys] = RESTART_MARK.exec(config[Key.RESTART] ?? '') ?? [];
  return { pid: Number(pid), keys: keys?.split('\n') ?? [] };
}
