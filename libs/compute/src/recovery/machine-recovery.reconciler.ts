import { MuonError } from '#core';
import type { Database } from '#database';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import type { RecoveryBlock } from '../virtual-machine/virtual-machine.js';
import { lostMachines, recordRecoveryBlocks, type LostMachine, type WrittenBlock } from './machine-recovery.sql.js';
import { planRecreation } from './recreation-plan.js';

export interface MachineRecoveryOptions {
  everyMs?: number;
  /** How long until a machine that could not be made anew is tried again. */
  recreateAgainAfterMs?: number;
}

/** The reconciler that makes lost machines anew; made due when a host is lost or returns. */
export const MACHINE_RECOVERY = 'machine-recovery';

const DEFAULTS = { everyMs: 60_000, recreateAgainAfterMs: 600_000 };
const BATCH = 200;
const MAX_BATCHES = 50;
/** What is more waits for the next run: a rack that is lost shall not keep a run from ending. */
const MAX_RECREATED = 500;

/**
 * Makes machines anew elsewhere whose host is proven to be off and whose policy says so, and writes down what keeps others
 * from it. Nothing is begun for a host that is merely silent: its machines may run.
 */
export function machineRecovery(database: Database, options: MachineRecoveryOptions = {}): Reconciler {
  const { everyMs, recreateAgainAfterMs } = { ...DEFAULTS, ...options };
  return defineReconciler({
    name: MACHINE_RECOVERY,
    everyMs,
    timeoutMs: Math.max(everyMs, 60_000),
    async run(context) {
      let [after, begun] = ['', 0];
      for (let batch = 0; batch < MAX_BATCHES && begun < MAX_RECREATED; batch += 1) {
        const machines = await context.reader.rows(lostMachines, after, BATCH, recreateAgainAfterMs);
        const last = machines.at(-1);
        if (last === undefined) return;
        const written: WrittenBlock[] = [];
        for (const machine of machines) {
          if (context.signal.aborted) return;
          const block = await judge(context, machine);
          if (block === BEGUN) begun += 1;
          else if (block !== KEPT && !isSame(block, machine.recovery_block)) written.push({ id: machine.id, revision: machine.revision, block });
        }
        if (written.length > 0) await database.transaction((transaction) => transaction.execute(recordRecoveryBlocks, JSON.stringify(written)));
        after = last.id;
      }
    },
  });
}

const BEGUN = 'BEGUN';
const KEPT = 'KEPT';

/** Begins to make it anew, or says what keeps it from that; null when nothing has to be done. */
async function judge(context: ReconcilerContext, machine: LostMachine): Promise<RecoveryBlock | null | typeof BEGUN | typeof KEPT> {
  if (machine.health === 'UP') return null;
  const reason = whatForbids(machine);
  if (reason !== null) return sinceOf(machine, reason);
  if (machine.failed) return machine.recovery_block ?? sinceOf(machine, { code: 'FAILED_LATELY', message: 'Making it anew has failed a while ago; it is tried again.' });
  try {
    const { operationId } = await context.submit(await planRecreation(context.reader, machine.id));
    context.log.warn({ machineId: machine.id, operationId }, 'making a machine anew whose host is proven to be off');
    return BEGUN;
  } catch (error) {
    if (!(error instanceof MuonError) || error.code === 'INTERNAL') throw error;
    // Somebody is changing it, or has taken the place: the next run sees what is left.
    if (error.code === 'RESOURCE_BUSY' || error.code === 'CONFLICT') return KEPT;
    return sinceOf(machine, { code: error.code, message: `It cannot be made anew elsewhere now: ${error.message}` });
  }
}

function whatForbids({ fence, health, desired_power: power, data_disks: dataDisks }: LostMachine): Omit<RecoveryBlock, 'since'> | null {
  if (health !== 'DOWN' || fence !== 'PROVEN_OFF') {
    const message = 'Its host does not answer and is not proven to be off, so the machine may run there still; an operator can attest that it is off.';
    return { code: 'HOST_NOT_PROVEN_OFF', message };
  }
  if (power !== 'RUNNING') return { code: 'SHALL_NOT_RUN', message: 'It shall not run: it waits for its host, and keeps its disk.' };
  if (dataDisks > 0) return { code: 'DATA_DISKS', message: 'It has disks beside its root disk, which would be lost: it waits for its host.' };
  return null;
}

function sinceOf({ recovery_block: known }: LostMachine, { code, message }: Omit<RecoveryBlock, 'since'>): RecoveryBlock {
  return { code, message, since: known?.code === code ? known.since : new Date().toISOString() };
}

function isSame(one: RecoveryBlock | null, other: RecoveryBlock | null): boolean {
  return one?.code === other?.code && one?.message === other?.message;
}
