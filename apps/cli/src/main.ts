#!/usr/bin/env node
import { CommanderError } from 'commander';
import { ExitCode } from './exit-code.js';
import { describeProblem, Failure } from './failure.js';
import { muonCommand } from './program.js';

/** Tells on standard error why a command did not end well; as JSON when results are. */
function report(error: unknown, asJson: boolean): ExitCode {
  // Has told already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
  if (!(error instanceof Failure)) throw error;
  const { exitCode, message, problems } = error;
  if (asJson) process.stderr.write(`${JSON.stringify({ error: { exitCode, message, problems } })}\n`);
  else {
    const first = problems[0];
    const lines = first?.message === message ? [] : [message];
    process.stderr.write(`${[...lines, ...problems.flatMap((problem) => describeProblem(problem))].join('\n')}\n`);
  }
  return exitCode;
}

const muon = muonCommand();
try {
  await muon.parseAsync();
} catch (error) {
  process.exitCode = report(error, muon.opts()['output'] === 'json');
}
