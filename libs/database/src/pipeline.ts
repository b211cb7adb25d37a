import pg from 'pg';
import { pgTypes } from './client.js';

/** One statement as it is sent: prepared under its name if it has one. */
export interface WireStatement {
  name?: string;
  text: string;
  values: unknown[];
}

export type Answer = pg.QueryResult<Record<string, unknown>>;

/** The methods by which pg hands the server's messages to a query; only its types keep them to themselves. */
interface ProtocolQuery {
  readonly name?: string;
  readonly text: string;
  prepare(connection: ProtocolConnection): void;
  handleRowDescription(message: unknown): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: ProtocolConnection): void;
  handleReadyForQuery(connection: ProtocolConnection): void;
  handleError(error: unknown, connection: ProtocolConnection): void;
}

interface ProtocolConnection {
  readonly stream: { cork(): void; uncork(): void; destroy(error: Error): void };
  readonly parsedStatements: Record<string, string | undefined>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  sync(): void;
}

type NewQuery = new (config: WireStatement & { types: pg.CustomTypesConfig; queryMode: 'extended'; callback: Callback }) => ProtocolQuery;
type Callback = (error: Error | null, answer: Answer) => void;

interface Waiting {
  statement: WireStatement;
  /** Sent by itself, in the simple protocol: the text may hold several commands. */
  isAlone: boolean;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/**
 * Sends statements over one connection in the order in which they were given, and all that are given before anybody
 * waits for an answer in one write: a round trip costs more than most statements. The first that fails fails those that
 * were sent with it after it, as PostgreSQL fails whatever follows in a transaction.
 */
export class Pipeline {
  private waiting: Waiting[] = [];
  private isBusy = false;

  constructor(private readonly client: pg.ClientBase) {}

  send(statement: WireStatement): Promise<Answer> {
    return this.enqueue(statement, false);
  }

  /** For texts without parameters that may hold several commands. */
  sendAlone(text: string): Promise<Answer> {
    return this.enqueue({ text, values: [] }, true);
  }

  /** Rejects what was given and has not been sent yet. */
  discard(error: Error): void {
    for (const each of this.waiting.splice(0)) each.reject(error);
  }

  private enqueue(statement: WireStatement, isAlone: boolean): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ statement, isAlone, resolve, reject });
      if (this.isBusy) return;
      this.isBusy = true;
      afterAllThatCanRun(() => this.flush());
    });
  }

  private flush(): void {
    const [first] = this.waiting;
    if (first === undefined) {
      this.isBusy = false;
      return;
    }
    const end = this.waiting.findIndex((each) => each.isAlone);
    const batch = this.waiting.splice(0, first.isAlone ? 1 : end === -1 ? this.waiting.length : end);
    // Whoever waits for these answers may have more to send before the next write.
    const next = (): void => afterAllThatCanRun(() => this.flush());
    if (batch.length > 1) this.client.query(new Batch(batch, next));
    else void this.sendOne(first).finally(next);
  }

  private async sendOne({ statement, isAlone, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(await (isAlone ? this.client.query(statement.text) : this.client.query({ ...statement, queryMode: 'extended' } as pg.QueryConfig)));
    } catch (error) {
      reject(error);
    }
  }
}

/** Promises that are settled by now have called back when this runs. */
function afterAllThatCanRun(callback: () => void): void {
  queueMicrotask(() => process.nextTick(callback));
}

/**
 * Several statements as one query of pg: prepared, bound and executed one after the other, with a single Sync at the end
 * (PostgreSQL manual, 54.2.4). Relies on how pg passes messages to its active query, which `pipeline.spec.ts` holds it to.
 */
class Batch implements pg.Submittable {
  private readonly queries: readonly ProtocolQuery[];
  private at = 0;

  constructor(
    batch: readonly Waiting[],
    private readonly onEnd: () => void,
  ) {
    const Query = pg.Query as unknown as NewQuery;
    this.queries = batch.map(
      ({ statement, resolve, reject }) =>
        new Query({ ...statement, types: pgTypes, queryMode: 'extended', callback: (error, answer) => (error === null ? resolve(answer) : reject(error)) }),
    );
  }

  /** Name and text of the statement at hand: pg notes that it has been parsed. */
  get name(): string | undefined {
    return this.queries[this.at]?.name;
  }

  get text(): string | undefined {
    return this.queries[this.at]?.text;
  }

  submit(raw: pg.Connection): void {
    const connection = raw as unknown as ProtocolConnection;
    const unsynced = Object.create(connection, { sync: { value: () => undefined } }) as ProtocolConnection;
    connection.stream.cork();
    try {
      for (const query of this.queries) query.prepare(unsynced);
      connection.sync();
    } finally {
      connection.stream.uncork();
    }
  }

  handleRowDescription(message: unknown): void {
    this.queries[this.at]?.handleRowDescription(message);
  }

  handleDataRow(message: unknown): void {
    this.queries[this.at]?.handleDataRow(message);
  }

  handleCommandComplete(message: unknown, connection: ProtocolConnection): void {
    const query = this.queries[this.at];
    query?.handleCommandComplete(message, connection);
    this.at += 1;
    query?.handleReadyForQuery(connection);
  }

  handleReadyForQuery(): void {
    this.onEnd();
  }

  handleError(error: unknown, connection: ProtocolConnection): void {
    const rest = this.queries.slice(this.at);
    this.at = this.queries.length;
    for (const { name } of rest) {
      // Sent to be parsed, and skipped: the next time has to send it again.
      if (name !== undefined && connection.parsedStatements[name] === undefined) delete connection.submittedNamedStatements[name];
    }
    for (const query of rest) query.handleError(error, connection);
    this.onEnd();
  }
}
