import { Failure } from './failure.js';
import { ExitCode } from './exit-code.js';
import type { Client } from './client.js';
import type { Output } from './output.js';
import { followOperation, isEnded, type OperationView } from './watch.js';

const CLEAR_LINE = '\r\u001b[K';
const EVERY_PERCENT = 10;

/** Tells of an operation while it runs, on standard error: a line for each step, and how far the whole is. */
class ProgressReport {
  private readonly told = new Map<string, string>();
  private blocker = '';
  private state = '';
  private percent = 0;
  private statusShown = false;

  constructor(private readonly output: Output) {}

  show(operation: OperationView): void {
    if (!isEnded(operation)) this.showState(operation);
    for (const step of operation.steps) {
      if (step.state !== 'PENDING' && this.told.get(step.name) !== step.state) this.line('step', step.name, step.state);
      this.told.set(step.name, step.state);
    }
    const blocker = operation.blockers[0];
    const waits = blocker === undefined ? '' : `${blocker.message}${blocker.remedy === null ? '' : ` ${blocker.remedy}`}`;
    if (waits !== this.blocker && waits !== '') this.line('waits', waits, '');
    this.blocker = waits;
    this.status(operation);
    this.showState(operation);
  }

  /** Between running and waiting it goes back and forth with every step. */
  private showState({ kind, state }: OperationView): void {
    const shown = state === 'WAITING' ? 'RUNNING' : state;
    if (shown !== this.state) this.line('operation', kind, shown);
    this.state = shown;
  }

  /** On a terminal one line that is written over and over, elsewhere a line now and then. */
  private status(operation: OperationView): void {
    const { done, known, percent } = operation.progress;
    if (process.stderr.isTTY) {
      if (isEnded(operation)) this.clear();
      else process.stderr.write(`${CLEAR_LINE}${percent} %, ${done} of ${known} steps${this.remaining(operation)}`);
      this.statusShown = !isEnded(operation);
    } else if (percent >= this.percent + EVERY_PERCENT) {
      this.line('progress', `${percent} %`, `${done} of ${known} steps${this.remaining(operation)}`);
      this.percent = percent;
    }
  }

  private remaining({ progress }: OperationView): string {
    if (progress.expectedEndAt === null) return '';
    const seconds = Math.round((Date.parse(progress.expectedEndAt) - Date.now()) / 1000);
    return seconds > 0 ? `, about ${seconds} s left` : '';
  }

  private line(what: string, name: string, state: string): void {
    this.clear();
    this.output.note(`${new Date().toISOString().slice(11, 19)}  ${what.padEnd(9)}  ${name.padEnd(32)} ${state}`.trimEnd());
  }

  private clear(): void {
    if (this.statusShown) process.stderr.write(CLEAR_LINE);
    this.statusShown = false;
  }
}

/** @throws Failure OPERATION_FAILED with the root cause when it ends other than SUCCEEDED */
export async function waitFor(client: Client, output: Output, operationId: string, timeoutMs: number): Promise<OperationView> {
  const report = new ProgressReport(output);
  const operation = await followOperation(client, operationId, timeoutMs, (seen) => report.show(seen));
  if (operation.state === 'SUCCEEDED') return operation;
  const problems = operation.error === null ? [] : [operation.error];
  throw new Failure(ExitCode.OPERATION_FAILED, `The operation ${operation.id} ended ${operation.state}.`, problems);
}
