import { IncusError } from '../connection/incus-error.js';
import type { CallOptions, ChangeOptions, Session, Tagged, TargetOptions } from '../connection/session.js';
import type { RunningOperation } from '../operation/running-operation.js';
import { execute, executeRecorded, type Command, type CommandResult } from './exec.js';
import { InstanceFiles } from './files.js';
import type { FullInstance, Instance, InstanceSettings, InstanceSnapshot, InstanceState, Move, NewInstance, PowerChange } from './instance.js';

const MAX_CONSOLE_BYTES = 4 * 1024 * 1024;
/** Thousands of instances, each with its user data twice: as its own, and with what its profiles add. */
const MAX_LIST_BYTES = 256 * 1024 * 1024;
/** Incus has no code for it. */
const ALREADY_SO = /already (stopped|running|frozen)/i;

const ifMatch = ({ etag }: ChangeOptions): Record<string, string> => (etag === undefined ? {} : { 'if-match': etag });

/** Containers and virtual machines (`/1.0/instances`). */
export class Instances {
  readonly files: InstanceFiles;

  constructor(private readonly session: Session) {
    this.files = new InstanceFiles(session);
  }

  /** Of all members, from the cluster's database: asks no member. */
  async names(options: CallOptions = {}): Promise<string[]> {
    const paths = await this.session.get<string[]>(['instances'], options);
    return paths.map((path) => decodeURIComponent(path.split('?')[0]?.split('/').at(-1) ?? ''));
  }

  /**
   * Of all members. Of those on a member that does not answer there are only name, type and place, with the status
   * ERROR: `config` and `devices` are null.
   */
  async list(options: CallOptions & { filter?: string } = {}): Promise<Instance[]> {
    const { filter, ...call } = options;
    return this.session.get<Instance[]>(['instances'], { ...call, query: { recursion: 1, filter }, limitBytes: MAX_LIST_BYTES });
  }

  /** With state and snapshots: some ten times as dear as `list`. */
  async listFull(options: CallOptions & { filter?: string } = {}): Promise<FullInstance[]> {
    const { filter, ...call } = options;
    return this.session.get<FullInstance[]>(['instances'], { ...call, query: { recursion: 2, filter }, limitBytes: MAX_LIST_BYTES });
  }

  async get(name: string, options: CallOptions = {}): Promise<Tagged<Instance>> {
    return this.session.getTagged<Instance>(['instances', name], options);
  }

  /** @throws FAILED or UNAVAILABLE where its member does not answer */
  async state(name: string, options: CallOptions = {}): Promise<InstanceState> {
    return this.session.get<InstanceState>(['instances', name, 'state'], options);
  }

  /**
   * @param options `target` is the member that it is made on; Incus chooses if not given
   * @throws CONFLICT, here or from the wait, when there is one of that name
   */
  async create(instance: NewInstance, { target, ...options }: TargetOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: ['instances'], query: { target }, json: instance });
  }

  /** Changes what is named; maps are merged key by key. */
  async patch(name: string, settings: InstanceSettings, options: ChangeOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'PATCH', path: ['instances', name], headers: ifMatch(options), json: settings });
  }

  /** Replaces all settings. */
  async replace(name: string, settings: InstanceSettings, options: ChangeOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'PUT', path: ['instances', name], headers: ifMatch(options), json: settings });
  }

  /** A start may succeed although the guest ends a moment later: look at the state before you rely on it. */
  async power(name: string, change: PowerChange, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'PUT', path: ['instances', name, 'state'], json: change });
  }

  /** Brings it to the state and waits; that it is there already is success. */
  async ensurePower(name: string, change: PowerChange, options: CallOptions = {}): Promise<void> {
    try {
      await (await this.power(name, change, options)).wait(options);
    } catch (error) {
      if (!(error instanceof IncusError && ALREADY_SO.test(error.message))) throw error;
    }
  }

  /** @throws NOT_FOUND; REFUSED while it runs */
  async delete(name: string, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'DELETE', path: ['instances', name] });
  }

  /** Renames it, or moves it to another member (`target`) or pool. */
  async move(name: string, move: Move, { target, ...options }: TargetOptions = {}): Promise<RunningOperation> {
    const migration = target !== undefined || move.pool !== undefined;
    return this.session.change({ ...options, method: 'POST', path: ['instances', name], query: { target }, json: { name, ...move, migration } });
  }

  async snapshots(name: string, options: CallOptions = {}): Promise<InstanceSnapshot[]> {
    return this.session.get<InstanceSnapshot[]>(['instances', name, 'snapshots'], { ...options, query: { recursion: 1 } });
  }

  async createSnapshot(name: string, snapshot: string, options: CallOptions & { stateful?: boolean } = {}): Promise<RunningOperation> {
    const { stateful = false, ...call } = options;
    return this.session.change({ ...call, method: 'POST', path: ['instances', name, 'snapshots'], json: { name: snapshot, stateful } });
  }

  async deleteSnapshot(name: string, snapshot: string, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'DELETE', path: ['instances', name, 'snapshots', snapshot] });
  }

  /** Runs a command and hears its output as it comes. @see execute */
  async execute(name: string, command: Command): Promise<CommandResult> {
    return execute(this.session, name, command);
  }

  /** Runs a command whose output Incus keeps in files: survives a lost connection of ours. @see executeRecorded */
  async executeRecorded(name: string, command: Omit<Command, 'input'>): Promise<CommandResult> {
    return executeRecorded(this.session, name, command);
  }

  /** What the console has shown since the start, as far as Incus keeps it. */
  async consoleLog(name: string, options: CallOptions = {}): Promise<string> {
    const { body } = await this.session.raw({ ...options, method: 'GET', path: ['instances', name, 'console'], limitBytes: MAX_CONSOLE_BYTES });
    return body.toString();
  }
}
