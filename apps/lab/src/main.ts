#!/usr/bin/env node
import { CommanderError } from 'commander';
import { IncusError } from '#incus';
import { Failure } from './failure.js';
import { labCommand } from './program.js';

const REFUSED = 1;
const USAGE = 2;

/** Tells on standard error why a command did not end well; defects show their stack. */
function report(error: unknown): number {
  // Has told already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
  if (!(error instanceof Failure || error instanceof IncusError)) throw error;
  process.stderr.write(`${error.message}\n`);
  return REFUSED;
}

try {
  await labCommand().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
