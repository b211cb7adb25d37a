import { refusal, type Problem } from './failure.js';
import type { Output } from './output.js';

export interface Plan {
  id: string;
  expiresAt: string;
  problems: Problem[];
  reasons: { subject: string; message: string }[];
  resources: { action: 'CREATE' | 'UPDATE' | 'DELETE'; kind: string; id: string; name: string; data: unknown }[];
}

export const PLAN = `plan {
  id expiresAt
  problems { code message fault retryable field data }
  reasons { subject message }
  resources { action kind id name data }
}`;

/**
 * Shows what a dry run would do.
 * @throws Failure REFUSED with every problem, when it would not be done
 */
export function showPlan(output: Output, plan: Plan): void {
  if (output.format === 'json') output.json(plan);
  else {
    output.list(['action', 'kind', 'name', 'id'], plan.resources.map(({ action, kind, name, id }) => [action, kind, name, id]), plan);
    output.section('Because', ['of', 'reason'], plan.reasons.map(({ subject, message }) => [subject, message]));
  }
  if (plan.problems.length > 0) throw refusal(plan.problems);
  output.note(`\nNothing has been done. The plan ${plan.id} holds until ${plan.expiresAt}.`);
}
