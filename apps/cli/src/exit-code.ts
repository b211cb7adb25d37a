/** How the `muon` command ends; scripts may rely on it. */
export const ExitCode = {
  OK: 0,
  /** Muon refused the request, or the plan shows that it would: the error says why. */
  REFUSED: 1,
  /** The command line, the settings or the login are not right. */
  USAGE: 2,
  /** No answer from Muon. */
  UNREACHABLE: 3,
  /** It was accepted, and its operation ended FAILED, CANCELLED or STUCK. */
  OPERATION_FAILED: 4,
  /** `--timeout` is over; what was started goes on. */
  TIMEOUT: 5,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
