import { invalidInput, MuonError } from '#core';
import { backendRefused, done, hashOf, pending, type GuestRun, type GuestRunResult, type Outcome } from '#drivers';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { SUPERVISOR, WRAPPER } from './guest-script.js';

const RUN_ID = /^[A-Za-z0-9_-]{1,200}$/;
const MAX_SCRIPT_BYTES = 64 * 1024;
const POLL_MS = 300;
/** Kept back for the answer's way. */
const MARGIN_MS = 100;
const SHORTEST_MS = 100;
/** From here on, what a shell says of a process that a signal has ended. */
const SIGNALLED = 129;
/** By SIGKILL. */
const KILLED = 137;
/** `EX_CANTCREAT` of sysexits.h. */
const CANNOT_CREATE = 73;

/** Starts the run or finds it, and tells how it stands. */
export async function runInGuest(backend: IncusBackend, instance: string, run: GuestRun, budget: Budget): Promise<Outcome<GuestRunResult>> {
  if (!RUN_ID.test(run.runId)) throw invalidInput('runId', 'A run id is made of letters, digits, hyphens and underscores.');
  if (Buffer.byteLength(run.script) > MAX_SCRIPT_BYTES) throw invalidInput('script', 'A script has at most 64 KiB.');
  // All of what is left: a wrapper that is killed before its input has come has begun nothing.
  const timeoutMs = Math.max(SHORTEST_MS, budget.leftMs - MARGIN_MS);
  const answer = await backend.client.instances.execute(instance, {
    command: ['/bin/sh', '-c', WRAPPER, 'muon-guest-run', run.runId, hashOf(run.script), String(run.timeoutSeconds), run.script, SUPERVISOR, run.brief === true ? 'BRIEF' : 'KEPT'],
    input: run.standardInput ?? '',
    timeoutMs,
    signal: budget.signal,
  });
  const lineEnd = answer.stdout.indexOf('\n');
  const [word = '', code] = answer.stdout.slice(0, Math.max(0, lineEnd)).split(' ');
  switch (word) {
    case 'PENDING':
      return pending(POLL_MS);
    case 'DONE':
      return done({ exitCode: Number(code), standardOutput: answer.stdout.slice(lineEnd + 1), standardError: answer.stderr });
    case 'CONFLICT':
      throw backend.conflict('guest run', run.runId);
    case 'LOST':
      // As when its time is over: by a power cut, mostly. Whether it may be run again is the caller's to say, under another id.
      return done({ exitCode: KILLED, standardOutput: '', standardError: 'The script was cut off before it ended.' });
    case 'FULL':
      return done({ exitCode: CANNOT_CREATE, standardOutput: '', standardError: 'Nothing can be written in the guest: its disk is full, or only read.' });
    default:
      // Its outputs were lost on the way, or the wrapper was killed, with its guest mostly: the run may go on.
      if (answer.exitCode === 0 || answer.exitCode >= SIGNALLED) throw new MuonError('TIMEOUT', 'The connection to the guest was lost.', { data: { backend: backend.backendId } });
      throw backendRefused(backend.backendId, `The guest of "${run.machineId}" cannot run scripts: it answered ${answer.exitCode}.`);
  }
}
