import { z } from 'zod';
import { MuonError, toMuonError } from '#core';
import type { Transaction } from '#database';
import type { Driver } from '#drivers';
import {
  claimTombstones,
  defineOperation,
  done,
  findTombstonesOfSweep,
  releaseTombstones,
  wait,
  type FinishContext,
  type OperationKind,
  type OperationStep,
  type StepContext,
  type StepDone,
  type StepWait,
} from '#operations';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { BackendObjectKind, deleteObject, type BackendObject } from './backend-object.js';

export const REMOVE_ORPHANS = 'infrastructure.orphan.remove';
/** A brake: what is more is for the next run of the sweep. */
export const MAX_ORPHANS_AT_ONCE = 50;

const MINUTE_MS = 60_000;

const input = z.strictObject({
  backendId: z.string(),
  objects: z.array(z.strictObject({ kind: z.enum(BackendObjectKind), id: z.string() })).max(MAX_ORPHANS_AT_ONCE),
});
type Input = z.output<typeof input>;

/** How often a silent backend or host is asked again before the object is left to the next run of the sweep. */
const MAX_TRIES = 5;
const LONGEST_WAIT_MS = 5000;

const outputSchema = z.object({
  gone: z.array(z.string()),
  left: z.array(z.object({ kind: z.string(), id: z.string(), code: z.string(), message: z.string() })),
});
type Output = z.output<typeof outputSchema>;

const DELETIONS = {
  machines: ['machine'],
  disks: ['disk'],
  ports: ['floating_ip', 'port', 'load_balancer'],
  networks: ['router', 'provider_router', 'external_network', 'network', 'security_group', 'firewall'],
} as const satisfies Record<string, readonly BackendObjectKind[]>;

/**
 * Deletes objects that have tombstones: machines first, networks last. While it is on, none of them is made again, and
 * what has been lifted before it began is left alone. One that cannot be deleted keeps none of the others.
 */
export function orphanOperations(drivers: DriverRegistry): OperationKind<unknown>[] {
  const remove = defineOperation<Input>({
    kind: REMOVE_ORPHANS,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'claim',
        async run({ operation }) {
          const { backendId, objects } = operation.input;
          const items = objects.map((object) => ({ objectKind: object.kind, objectId: object.id }));
          return done({ commit: (transaction) => claimTombstones(transaction, backendId, items, operation.id) });
        },
      },
      ...Object.entries(DELETIONS).map(([name, kinds]) => deletion(name, kinds, drivers)),
      {
        name: 'verify',
        async run({ outputs }) {
          const left = outputsOf(outputs).flatMap((output) => output.left);
          if (left.length === 0) return done();
          const message = `${left.length} orphans could not be deleted, the first of them the ${left[0]?.kind} "${left[0]?.id}": ${left[0]?.message}`;
          throw new MuonError('BACKEND_FAILED', message, { fault: 'OPERATOR', retryable: false, data: { left: left.map((each) => ({ ...each })) } });
        },
      },
    ],
    onSucceeded: release,
    // The next run of the sweep finds what is left.
    onFailed: release,
  });
  return [remove as OperationKind<unknown>];
}

async function release(transaction: Transaction, { operation, outputs }: FinishContext<Input>): Promise<void> {
  const gone = outputsOf(outputs).flatMap((output) => output.gone);
  await releaseTombstones(transaction, operation.input.backendId, operation.id, gone);
}

function outputsOf(outputs: FinishContext<Input>['outputs']): Output[] {
  return Object.keys(DELETIONS).flatMap((name) => (outputs[name] === undefined ? [] : [outputSchema.parse(outputs[name])]));
}

function deletion(name: string, kinds: readonly BackendObjectKind[], drivers: DriverRegistry): OperationStep<Input> {
  return {
    name,
    async run(context) {
      const { backendId } = context.operation.input;
      const claimed = await context.reader.rows(findTombstonesOfSweep, backendId, context.operation.id);
      const objects = claimed.flatMap((row) => {
        const kind = kinds.find((each) => each === row.object_kind);
        return kind === undefined ? [] : [{ kind, id: row.object_id }];
      });
      if (objects.length === 0) return done({ output: { gone: [], left: [] } });
      return removeAll(context, await drivers.driver(backendId), objects);
    },
  };
}

async function removeAll(context: StepContext<Input>, driver: Driver, objects: readonly BackendObject[]): Promise<StepDone | StepWait> {
  const results = await Promise.allSettled(objects.map((object) => deleteObject(driver, context.call(object.id), object)));
  const output: Output = { gone: [], left: [] };
  let againMs = Number.POSITIVE_INFINITY;
  let passing: MuonError | undefined;
  for (const [index, result] of results.entries()) {
    const { kind, id } = objects[index] as BackendObject;
    if (result.status === 'fulfilled') {
      if (result.value.state === 'PENDING') againMs = Math.min(againMs, result.value.retryAfterMs);
      else output.gone.push(id);
      continue;
    }
    const error = toMuonError(result.reason);
    if (error.retryable && context.step.tries < MAX_TRIES) passing = error;
    else output.left.push({ kind, id, code: error.code, message: error.message });
  }
  if (passing !== undefined) throw passing;
  if (Number.isFinite(againMs)) return wait({ afterMs: Math.min(againMs, LONGEST_WAIT_MS), blocker: 'The backend is deleting what was left behind.' });
  return done({ output });
}
