import { statement } from '#database';
import { signalHostOccupants } from '#infrastructure';
import type { OperationKind } from '#operations';

/** Of the host that a machine is on, and of another one, those that are being emptied. */
const findEmptyingHosts = statement<{ id: string }, [machineId: string, otherHostId: string | null]>(
  'virtual_machine.emptying_hosts',
  `SELECT h.id FROM host AS h
   WHERE h.id IN ((SELECT m.host_id FROM virtual_machine AS m WHERE m.id = $1), $2::text) AND h.intent = 'MAINTENANCE' AND NOT h.vacant
   ORDER BY h.id`,
);

/**
 * The same kind of operation on a machine; at its end whoever empties the machine's host looks again at once: the machine has
 * gone, or may be free to leave now.
 * @param leaves the host that it has left by then
 */
export function wakingMaintenance<Input extends { machineId: string }>(
  kind: OperationKind<Input>,
  leaves: (input: Input) => string | null = () => null,
): OperationKind<Input> {
  type Finisher = NonNullable<OperationKind<Input>['onSucceeded']>;
  const waking = (finish: Finisher | undefined): Finisher => {
    return async (transaction, context) => {
      const { input } = context.operation;
      // Before its row goes.
      const hosts = await transaction.rows(findEmptyingHosts, input.machineId, leaves(input));
      await finish?.(transaction, context);
      for (const host of hosts) await signalHostOccupants(transaction, host.id);
    };
  };
  return { ...kind, onSucceeded: waking(kind.onSucceeded?.bind(kind)), onFailed: waking(kind.onFailed?.bind(kind)) };
}
