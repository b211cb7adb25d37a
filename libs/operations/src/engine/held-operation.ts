import { assert, type JsonValue } from '#core';
import type { FinishContext, OperationKind, OperationView } from '../kind/operation-kind.js';
import type { ApplyChanges } from '../kind/step-result.js';
import type { Leftover } from '../operation/operation.js';
import type { LoadedOperation, LoadedStep } from './engine.sql.js';
import type { Progress } from './progress.js';

/** An operation that this process has claimed, with its lease as this process knows it. */
export class HeldOperation {
  readonly progress: Progress;
  readonly lost = new AbortController();
  readonly cancelled = new AbortController();
  /** Of `performance.now()`. */
  readonly deadlineAt: number;

  /** @param leaseGoodUntil by `performance.now()`, counted from before the claim was sent */
  constructor(
    readonly row: LoadedOperation,
    readonly kind: OperationKind<unknown>,
    public leaseGoodUntil: number,
  ) {
    this.deadlineAt = performance.now() + row.deadline_remaining_ms;
    const steps = new Map<number, LoadedStep>(row.steps.map((step) => [step.index, step]));
    const canUndo = (index: number): boolean => {
      const step = kind.steps[index];
      return step?.undo !== undefined || step?.compensate !== undefined;
    };
    this.progress = { ...row, steps, canUndo, undoesAdmission: kind.steps[0]?.undoesAdmission === true };
    if (row.cancel_requested) this.noticeCancel();
  }

  get id(): string {
    return this.row.id;
  }

  get fence(): number {
    return this.row.fence;
  }

  /** What remains of the lease, in ms; none once it is known to be lost. */
  get leaseRemainingMs(): number {
    return this.lost.signal.aborted ? 0 : this.leaseGoodUntil - performance.now();
  }

  /** Whether a cancel has been asked for and is to be followed. */
  get mustTurnBack(): boolean {
    return this.progress.cancel_requested && this.progress.direction === 'FORWARD' && !this.progress.pivot_passed;
  }

  noticeCancel(): void {
    this.progress.cancel_requested = true;
    if (this.mustTurnBack) this.cancelled.abort();
  }

  get view(): OperationView<unknown> {
    const { row } = this;
    return {
      id: row.id,
      kind: row.kind,
      input: row.input,
      resourceKind: row.resource_kind,
      resourceId: row.resource_id,
      tenantId: row.tenant_id,
      projectId: row.project_id,
      rootId: row.root_id,
      parentId: row.parent_id,
      backendId: row.backend_id,
      origin: row.origin,
      principalId: row.principal_id,
      requestId: row.request_id,
      attempt: row.attempt,
    };
  }

  /** Outputs by step name: of what is done, and of the step at hand while it is undone. */
  get outputs(): Record<string, JsonValue | undefined> {
    const outputs: Record<string, JsonValue | undefined> = {};
    for (const step of this.progress.steps.values()) {
      if (step.output !== null && step.state !== 'UNDONE') outputs[step.name] = step.output;
    }
    return outputs;
  }

  stepAt(index: number): LoadedStep {
    const step = this.progress.steps.get(index);
    assert(step !== undefined, `step ${index} of ${this.id} has not been started`);
    return step;
  }

  finishContext(outputs: FinishContext<unknown>['outputs'], leftovers: Leftover[], apply: ApplyChanges): FinishContext<unknown> {
    const { abandonment } = this.row;
    return {
      operation: this.view,
      error: this.progress.error,
      outputs,
      abandoned: abandonment === null ? null : { reason: abandonment.reason, leftovers },
      apply,
    };
  }
}
