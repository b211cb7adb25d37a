import { statement } from '#database';
import { signalHostOccupants } from '#infrastructure';
import type { OperationKind } from '#operations';

/** The host that a machine is on, if that is being emptied. */
const findEmptyingHost = statement<{ id: string }, [machineId: string]>(
  'virtual_machine.emptying_host',
  `SELECT h.id FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   WHERE m.id = $1 AND h.intent = 'MAINTENANCE' AND NOT h.vacant`,
);

/**
 * The same kind of operation on a machine; at its end whoever empties the machine's host looks again at once: the machine has
 * gone, or may be free to leave now.
 */
export function wakingMaintenance<Input extends { machineId: string }>(kind: OperationKind<Input>): OperationKind<Input> {
  type Finisher = NonNullable<OperationKind<Input>['onSucceeded']>;
  const waking = (finish: Finisher | undefined): Finisher => {
    return async (transaction, context) => {
      // Before its row goes, or speaks of another host.
      const host = await transaction.first(findEmptyingHost, context.operation.input.machineId);
      await finish?.(transaction, context);
      if (host !== undefined) await signalHostOccupants(transaction, host.id);
    };
  };
  return { ...kind, onSucceeded: waking(kind.onSucceeded?.bind(kind)), onFailed: waking(kind.onFailed?.bind(kind)) };
}
