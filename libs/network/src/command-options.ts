/** How a mutation is to be run; the same for all. */
export interface CommandOptions {
  /** Plan only. */
  dryRun?: boolean | undefined;
  idempotencyKey?: string | undefined;
}
