import { invalidInput, MuonError, withTimeout, type Logger } from '#core';
import { refuseInsideTransaction } from '#database';
import { DONE, pending, type DriverCall, type Outcome } from '#drivers';
import { InvalidArgumentError, OvsdbClient, RefusedError, Transaction, type CallOptions, type Outcome as Committed } from '#ovsdb';
import type { Draft, RowSeen } from './draft.js';
import { mustLookAgain, stuck, toDriverError } from './errors.js';
import { isOwn } from './marks.js';
import type { OvnNetworkSettings } from './options.js';
import type { Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

/** How often a part is read again, because others write it too or answers are lost, before the caller is sent away. */
const MAX_LOOKS = 10;
/** Whoever is overtaken reads something else the next time. The same thing refused so often in a row is another matter. */
const SAME_REFUSALS = 3;
const OVERTAKEN_RETRY_MS = 100;
const FIRST_PAUSE_MS = 100;

/** What remains of a call. */
export class CallTime {
  readonly #endsAt: number;

  constructor(
    timeoutMs: number,
    readonly signal: AbortSignal,
  ) {
    this.#endsAt = performance.now() + timeoutMs;
  }

  get leftMs(): number {
    return this.#endsAt - performance.now();
  }

  /** For one call of a client. @throws the signal's reason */
  options(): CallOptions {
    this.signal.throwIfAborted();
    return { timeoutMs: Math.max(1, Math.ceil(this.leftMs)), signal: this.signal };
  }
}

/** Where the parts of a network are read and made as they shall be. */
export interface Store {
  /** For errors: the backend. */
  readonly id: string;
  readonly settings: OvnNetworkSettings;
  read(time: CallTime, transaction: Transaction<Northbound>): Promise<Committed>;
  /** @param plan reads, and says what has to change; it throws what makes the call impossible */
  settle(time: CallTime, plan: () => Promise<Draft | undefined>): Promise<Outcome<void>>;
}

/** Both databases as one process sees them: the single way in which every driver call goes. */
export class OvnBackend implements Store {
  readonly northbound: OvsdbClient<Northbound>;
  readonly southbound: OvsdbClient<Southbound>;

  /**
   * @param log hears of what goes wrong outside of calls, as a monitor that the server refuses after a change of its schema
   * @throws INVALID_INPUT
   */
  constructor(
    readonly settings: OvnNetworkSettings,
    log?: Logger,
  ) {
    this.northbound = openDatabase<Northbound>({ database: 'OVN_Northbound', endpoints: settings.northbound, field: 'northbound', settings, log });
    this.southbound = openDatabase<Southbound>({ database: 'OVN_Southbound', endpoints: settings.southbound, field: 'southbound', settings, log });
  }

  get id(): string {
    return this.settings.backendId;
  }

  async work<Value>(call: DriverCall, method: string, work: (time: CallTime) => Promise<Value>): Promise<Value> {
    refuseInsideTransaction(`OVN network driver: ${method}`);
    const bounded = async (signal: AbortSignal): Promise<Value> => {
      signal.throwIfAborted();
      try {
        return await work(new CallTime(call.timeoutMs, signal));
      } catch (error) {
        throw toDriverError(this.id, error);
      }
    };
    if (call.signal.aborted) throw new MuonError('CANCELLED', 'OVN was not asked.', { cause: call.signal.reason });
    return withTimeout('OVN', call.timeoutMs, bounded, call.signal);
  }

  /**
   * Reads and writes until what is there is as it shall be: again when another writer came in between, and when an answer
   * was lost, as then only a look tells what became of it.
   */
  async settle(time: CallTime, plan: () => Promise<Draft | undefined>): Promise<Outcome<void>> {
    let met: ReadonlyMap<string, RowSeen> = new Map();
    const refusals: string[] = [];
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const draft = await plan();
      if (draft === undefined || draft.isEmpty) return DONE;
      draft.meet(met);
      const transaction = draft.build();
      try {
        await this.northbound.transact(transaction, time.options());
        return DONE;
      } catch (error) {
        if (!mustLookAgain(error)) throw error;
        met = await this.#meet(time, draft);
        if (!(error instanceof RefusedError)) continue;
        refusals.push(JSON.stringify([error.operation, transaction.encode(await this.northbound.schema(time.options()))]));
        if (refusals.slice(-SAME_REFUSALS).filter((each) => each === refusals.at(-1)).length === SAME_REFUSALS) throw stuck(this.id, error);
      }
    }
    return pending(OVERTAKEN_RETRY_MS);
  }

  /** Those of the rows which a draft makes that are there already: somebody has taken away the marks by which they are found. */
  async #meet(time: CallTime, draft: Draft): Promise<ReadonlyMap<string, RowSeen>> {
    const reading = new Transaction<Northbound>();
    const selects = draft.inserts.map(({ table, uuid }) => reading.select(table, [['_uuid', '==', uuid]] as never));
    const found = await this.read(time, reading);
    const rows = selects.flatMap((each) => found.of(each) as unknown as (RowSeen & { _uuid: string })[]);
    return new Map(rows.filter(({ external_ids: marks }) => isOwn(marks, this.settings.installationId)).map(({ _uuid, ...row }) => [_uuid, row as unknown as RowSeen]));
  }

  async read(time: CallTime, transaction: Transaction<Northbound>): Promise<Committed> {
    return this.northbound.transact(transaction, time.options());
  }

  async close(): Promise<void> {
    await Promise.all([this.northbound.close(), this.southbound.close()]);
  }
}

export interface DatabaseToOpen {
  database: string;
  endpoints: readonly string[];
  /** The option that named the endpoints. */
  field: string;
  settings: OvnNetworkSettings;
  log: Logger | undefined;
}

/** @throws INVALID_INPUT naming the endpoint that makes no sense */
export function openDatabase<Tables extends object>({ database, endpoints, field, settings, log }: DatabaseToOpen): OvsdbClient<Tables> {
  const { connectTimeoutMs, reconnectMaxMs, tls = {} } = settings;
  try {
    const client = new OvsdbClient<Tables>({
      database,
      endpoints,
      tls: defined(tls),
      connectTimeoutMs,
      reconnectMaxMs,
      reconnectMinMs: Math.min(FIRST_PAUSE_MS, reconnectMaxMs),
    });
    // Unheard it would end the process. Calls that depend on it end by their time.
    client.on('error', (error) => log?.error({ err: error, database, field }, 'a database of the network cannot be followed'));
    return client;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw invalidInput(`options.${error.path.replace(/^endpoints/, field)}`, 'An endpoint is tcp:HOST[:PORT], ssl:HOST[:PORT] or unix:FILE.');
  }
}

/** Without keys that are undefined: they would mean something else than absent ones. */
function defined<Options extends object>(options: Options): { [Name in keyof Options]: Exclude<Options[Name], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Options]: Exclude<Options[Name], undefined>;
  };
}
