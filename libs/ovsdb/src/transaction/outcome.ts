import { InvalidArgumentError, ProtocolError, RefusedError } from '../errors.js';
import type { DatabaseSchema } from '../schema/schema.js';
import { isList, isObject, type Json } from '../wire/json.js';
import type { Operation } from './operation.js';

/** What a committed transaction has brought. */
export class Outcome {
  readonly #results: ReadonlyMap<Operation<unknown>, unknown>;

  /** @internal */
  constructor(results: ReadonlyMap<Operation<unknown>, unknown>) {
    this.#results = results;
  }

  /**
   * Reads the answer to a transact request (RFC 7047 §4.1.3): one result for each operation, and one more when all
   * went well but the commit as a whole did not.
   * @throws RefusedError, ProtocolError
   */
  static read(operations: readonly Operation<unknown>[], answer: Json, schema: DatabaseSchema): Outcome {
    if (!isList(answer)) throw new ProtocolError('the answer to transact is not a list');
    answer.forEach((result, index) => throwRefusal(operations[index], index, result));
    return new Outcome(
      new Map(
        operations.map((operation, index) => {
          const result = answer[index];
          if (!isObject(result)) throw new ProtocolError(`operation ${index} has no result`);
          return [operation, operation.decode(result, schema)];
        }),
      ),
    );
  }

  /**
   * The result of one of the transaction's operations.
   * @throws InvalidArgumentError when it is of another transaction
   */
  of<Result>(operation: Operation<Result>): Result {
    if (!this.#results.has(operation)) throw new InvalidArgumentError('operation', 'is not of this transaction');
    return this.#results.get(operation) as Result;
  }
}

function throwRefusal(operation: Operation<unknown> | undefined, index: number, result: Json): void {
  if (!isObject(result) || typeof result['error'] !== 'string') return;
  const details = result['details'];
  throw new RefusedError({
    method: 'transact',
    error: result['error'],
    details: typeof details === 'string' ? details : undefined,
    operation: operation === undefined ? undefined : { index, name: operation.name, table: operation.table },
  });
}
