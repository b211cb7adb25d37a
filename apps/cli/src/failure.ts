import type { ErrorCode, Fault } from '#core';
import { ExitCode } from './exit-code.js';

/** An error as the API tells it, in the answer's `extensions` or as a `Problem`. */
export interface Problem {
  code: ErrorCode;
  message: string;
  fault?: Fault | null;
  retryable?: boolean | null;
  /** Path of the input field at fault, as in `input.pools.0.count`. */
  field?: string | null;
  data?: Record<string, unknown> | null;
  requestId?: string | null;
}

/** Why a command ends other than well. */
export class Failure extends Error {
  constructor(
    readonly exitCode: ExitCode,
    message: string,
    readonly problems: readonly Problem[] = [],
  ) {
    super(message);
    this.name = 'Failure';
  }
}

export const usageFailure = (message: string): Failure => new Failure(ExitCode.USAGE, message);

/** The refusal of a request. */
export function refusal(problems: readonly Problem[]): Failure {
  return new Failure(ExitCode.REFUSED, problems[0]?.message ?? 'The request was refused.', problems);
}

const MENDER: Record<Fault, string> = {
  USER: 'you',
  ADMIN: 'an administrator of your tenant or project',
  OPERATOR: 'the operator of Muon',
  SYSTEM: 'the makers of Muon',
};

/** What happened, what would be right, the numbers behind it, and whose it is to mend. */
export function describeProblem(problem: Problem): string[] {
  const lines = [`${problem.code}  ${problem.message}`];
  if (problem.field) lines.push(`  field    ${problem.field}`);
  for (const [name, value] of Object.entries(problem.data ?? {})) {
    lines.push(`  ${name.padEnd(8)} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  }
  if (problem.fault) lines.push(`  mended by ${MENDER[problem.fault]}${problem.retryable ? '; trying again later can help' : ''}`);
  if (problem.requestId) lines.push(`  request  ${problem.requestId}`);
  return lines;
}
