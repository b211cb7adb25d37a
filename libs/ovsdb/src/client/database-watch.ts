import { RefusedError, UnavailableError } from '../errors.js';
import { Replica, type ReplicaRow } from '../monitor/replica.js';
import type { ColumnType } from '../schema/schema.js';
import type { Json } from '../wire/json.js';
import { monitorTopic, type NotificationRouter } from '../wire/notification-router.js';
import type { RpcSession } from '../wire/rpc-session.js';

/** A row of the table Database of the server's own database `_Server` (ovsdb-server(5)). */
export interface DatabaseStatus {
  readonly connected: boolean;
  readonly leader: boolean;
  /** Absent when the database is not clustered, like `index`. */
  readonly cluster: string | undefined;
  /** Of the newest log entry that the server shows; rises only. */
  readonly index: number | bigint | undefined;
}

const MONITOR_ID = '_Server';
const TABLE = 'Database';

const one = (key: ColumnType['key']): ColumnType => ({ key, value: undefined, min: 1, max: 1 });
const optional = (key: ColumnType['key']): ColumnType => ({ key, value: undefined, min: 0, max: 1 });
const COLUMNS: ReadonlyMap<string, ColumnType> = new Map([
  ['name', one('string')],
  ['connected', one('boolean')],
  ['leader', one('boolean')],
  ['cid', optional('uuid')],
  ['index', optional('integer')],
]);

/** Follows what the server says of one database, so that it need not hang up when something changes (ovsdb-server(7) §4.1.18). */
export class DatabaseWatch {
  readonly #replica = new Replica(new Map([[TABLE, COLUMNS]]));

  constructor(
    private readonly session: RpcSession,
    private readonly database: string,
  ) {}

  /**
   * Resolves with the status, undefined where the server has no such database. From then on a change of the status is
   * told, and the session ended when the database is another one than before or has another schema.
   */
  async start(
    router: NotificationRouter,
    options: { timeoutMs: number; signal: AbortSignal },
    onChange: (status: DatabaseStatus | undefined) => void,
  ): Promise<DatabaseStatus | undefined | 'not supported'> {
    router.listen(monitorTopic(MONITOR_ID), (_method, [, updates]) => {
      const before = this.#row();
      this.#replica.update(updates ?? null, 'table-updates2');
      const after = this.#row();
      // The row's UUID is the generation of the database.
      if (before?._uuid !== after?._uuid) {
        this.session.retire(new UnavailableError(`the database ${this.database} was removed or replaced`));
      } else {
        onChange(this.#status());
      }
    });
    const request = { [TABLE]: [{ columns: [...COLUMNS.keys()], where: [['name', '==', this.database]] }] };
    const decode = (dump: Json): DatabaseStatus | undefined => {
      this.#replica.replace(dump, 'table-updates2');
      return this.#status();
    };
    try {
      const watching = this.session.call('monitor_cond', [MONITOR_ID, MONITOR_ID, request], { ...options, decode });
      const aware = this.session.call('set_db_change_aware', [true], { ...options, decode: () => undefined });
      const [status] = await Promise.all([watching, aware]);
      return status;
    } catch (error) {
      // Before Open vSwitch 2.9 there was neither, and nothing was clustered.
      if (error instanceof RefusedError) return 'not supported';
      throw error;
    }
  }

  #row(): ReplicaRow | undefined {
    return this.#replica.rows(TABLE).values().next().value;
  }

  #status(): DatabaseStatus | undefined {
    const row = this.#row();
    if (row === undefined) return undefined;
    const { connected, leader, cid, index } = row;
    return {
      connected: connected === true,
      leader: leader === true,
      cluster: typeof cid === 'string' ? cid : undefined,
      index: typeof index === 'number' || typeof index === 'bigint' ? index : undefined,
    };
  }
}
