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
  const { code, message, field, data, fault, retryable, requestId } = problem;
  const numbers = Object.entries(data ?? {}).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
  const known = [
    ['field', field],
    ...numbers,
    ['mended by', fault ? `${MENDER[fault]}${retryable ? '; trying again later can help' : ''}` : null],
    ['request', requestId],
  ].filter(([, value]) => value && value !== 'null');
  const width = Math.max(...known.map(([name]) => name?.length ?? 0));
  return [`${code}  ${message}`, ...known.map(([name, value]) => `  ${name?.padEnd(width)}   ${value}`)];
}
